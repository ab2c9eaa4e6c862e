# SPDX-License-Identifier: Apache-2.0
"""Strategies and allocators of a suite that are files: `strategy = "./mine.so"`, `allocator = "/opt/lib/libother.so"`. A path is of the
folder in which the suite is started, as on a command line. Before the check, the file of a strategy is replaced by the strategy's name, and
that of an allocator by its own, so that cells, tables and charts have these."""
from pathlib import Path
from typing import Any

from poolmark.base.errors import UsageError
from poolmark.base.faults import Faults
from poolmark.base.forms import Json, Place
from poolmark.facts import allocators, own_pools
from poolmark.facts.own_pools import OwnPool
from poolmark.suites.suite_cells import CellPlan

STRATEGY, ALLOCATOR = "strategy", "allocator"


def _tables(data: Json, key: str) -> list[tuple[Place, Json]]:
    found = data.get(key)
    return [((key, i), one) for i, one in enumerate(found) if isinstance(one, dict)] if isinstance(found, list) else []


def places(data: Json, name: str) -> list[tuple[Place, Any, Any]]:
    """(path, container, key) of every value that the file has for a key of cells, wherever it may be wrong."""
    parts: list[tuple[Place, Json]] = [((), data), *_tables(data, "group"), *_tables(data, "override"), *_tables(data, "ratio")]
    found: list[tuple[Place, Any, Any]] = []
    for path, part in parts:
        for table in ("config", "when", "of", "to"):
            if isinstance(part.get(table), dict) and name in part[table]:
                found.append(((*path, table, name), part[table], name))
        for table in ("axes", "axes_if_known"):
            values = part[table].get(name) if isinstance(part.get(table), dict) else None
            if isinstance(values, list):
                found += [((*path, table, name, i), values, i) for i in range(len(values))]
    return found


def resolve_pools(data: Json, faults: Faults, build: Path | None) -> dict[str, OwnPool]:
    """{strategy: pool} of the files in `data`, which then has the names of their strategies. Without programs to ask (`build` None)
    the name is the file's."""
    own: dict[str, OwnPool] = {}
    for path, container, key in places(data, STRATEGY):
        value = container[key]
        if not own_pools.is_path(value):
            continue
        if build is None:
            container[key] = Path(value).stem
            continue
        pool, wrong = own_pools.from_broker(value, build)
        if pool is None:
            faults.add(path, f"strategy {wrong.removeprefix('--pool: ')}")
        elif pool.strategy in own and own[pool.strategy].sha256 != pool.sha256:
            faults.add(path, f"strategy {value} is called {pool.strategy}, as that of {own[pool.strategy].path}")
        else:
            own.setdefault(pool.strategy, pool)
            container[key] = pool.strategy
    return own


def resolve_allocators(data: Json, faults: Faults, build: Path | None) -> dict[str, str]:
    """{file name: path} of the allocators in `data` that are files; `data` then has their names. `build`: whose broker tries them; None:
    they are not tried."""
    found: dict[str, str] = {}
    for path, container, key in places(data, ALLOCATOR):
        value = container[key]
        if not isinstance(value, str) or not allocators.is_path(value):
            continue
        name = Path(value).name
        try:
            library = str(allocators.library(value)) if build is None else allocators.serving(value, build / "poolmark-broker")
        except UsageError as error:
            faults.add(path, str(error))
            continue
        if found.setdefault(name, library) != library:
            faults.add(path, f"allocator {value} has the name of {found[name]}; give one of them another name")
        container[key] = name
    return found


def give(cells: list[CellPlan], pools: dict[str, OwnPool], libraries: dict[str, str]) -> None:
    """Cells get what loads the files, and the facts of these into their configuration: comparisons pair cells by it."""
    for cell in cells:
        pool = pools.get(str(cell.config.get(STRATEGY)))
        if pool and cell.config.get("target", "poolmark") == "poolmark":
            cell.broker = {"pool": pool.path, **cell.broker}
            cell.config |= {"pool_file": pool.file, "pool_sha256": pool.sha256, "pool_version": pool.version}
        cell.allocator = libraries.get(str(cell.config.get(ALLOCATOR)))
        if cell.allocator:
            cell.config["allocator_sha256"] = allocators.checksum(cell.allocator)
