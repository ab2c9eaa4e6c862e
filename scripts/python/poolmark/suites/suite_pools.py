# SPDX-License-Identifier: Apache-2.0
"""Strategies of a suite that are files: `strategy = "./mine.so"`. The path is of the folder in which the suite is started, as on a
command line. Before the check, each file is replaced by the name of its strategy, so that cells, tables and charts have that name."""
from pathlib import Path

from poolmark.base.faults import Faults
from poolmark.facts import own_pools
from poolmark.facts.own_pools import OwnPool
from poolmark.suites.suite_cells import CellPlan

KEY = "strategy"


def _tables(data: dict, key: str) -> list[tuple[tuple, dict]]:
    found = data.get(key)
    return [((key, i), one) for i, one in enumerate(found) if isinstance(one, dict)] if isinstance(found, list) else []


def places(data: dict) -> list[tuple[tuple, object, object]]:
    """(path, container, key) of every strategy in the file, wherever it may be wrong."""
    parts = [((), data), *_tables(data, "group"), *_tables(data, "override"), *_tables(data, "ratio")]
    found: list[tuple[tuple, object, object]] = []
    for path, part in parts:
        for name in ("config", "when", "of", "to"):
            if isinstance(part.get(name), dict) and KEY in part[name]:
                found.append(((*path, name, KEY), part[name], KEY))
        for name in ("axes", "axes_if_known"):
            values = part[name].get(KEY) if isinstance(part.get(name), dict) else None
            if isinstance(values, list):
                found += [((*path, name, KEY, i), values, i) for i in range(len(values))]
    return found


def resolve(data: dict, faults: Faults, build: Path | None) -> dict[str, OwnPool]:
    """{strategy: pool} of the files in `data`, which then has the names of their strategies. Without programs to ask (`build` None)
    the name is the file's."""
    own: dict[str, OwnPool] = {}
    for path, container, key in places(data):
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


def give(cells: list[CellPlan], own: dict[str, OwnPool]) -> None:
    """Cells of these strategies get the option that loads the file, and its facts into their configuration: comparisons pair cells by
    it."""
    for cell in cells:
        pool = own.get(str(cell.config.get(KEY)))
        if pool and cell.config.get("target", "poolmark") == "poolmark":
            cell.broker = {"pool": pool.path, **cell.broker}
            cell.config |= {"pool_file": pool.file, "pool_sha256": pool.sha256, "pool_version": pool.version}
