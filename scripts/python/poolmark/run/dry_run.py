# SPDX-License-Identifier: Apache-2.0
"""Prints the command lines of a cell and starts nothing. Values that are only known after a start have names: PORT1, PORT2 ... for
the addresses on which a broker listens, PID1 ... for its processes.

The functions that start the programs also make these command lines (targets.py, CellRun.load_argv).
"""
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from poolmark.base.forms import Config
from poolmark.base.paths import COMMAND, for_people
from poolmark.facts import allocators
from poolmark.facts.children import Child
from poolmark.records.record import Cell
from poolmark.run.cell_run import CellRun
from poolmark.suites.targets import Mosquitto, PoolmarkBroker, Target

EXPLAINED = ("# PORT1, PORT2 ...: the ports in a broker's \"listening\" lines, in their order; PID1, PID2 ...: the brokers' process "
             "ids; all else is as the run would call it from this folder")


def planned_cell(cell_id: str, config: Config, run_folder: Path) -> Cell:
    """The part of a record's cell that targets need, without creating a folder."""
    return cast(Cell, SimpleNamespace(id=cell_id, data={"config": config}, folder=run_folder / "cells" / cell_id))


def preload(allocator: str) -> list[str]:
    """The environment as typed before a command."""
    soname = allocators.shown(allocator)
    return [f"LD_PRELOAD={soname}"] if soname else []


def pretend_start(target: Target) -> list[list[str]]:
    """Gives `target` its URLs and processes without a start; returns the command lines that would start them."""
    environment = preload(target.allocator)
    if isinstance(target, PoolmarkBroker):
        listens = [address for i in range(target.plan.instances) for address in target.plan.listens(i)]
        target.urls += [f"mqtt://{address.rpartition(':')[0]}:PORT{i}" for i, address in enumerate(listens, 1)]
        lines = [[*environment, *target.argv(i)] for i in range(target.plan.instances)]
    elif isinstance(target, Mosquitto):
        target.urls = ["mqtt://127.0.0.1:PORT1"]
        lines = [[*environment, "mosquitto", "-c", str(target.config_file())]]
    else:
        lines = []
    target.processes = [cast(Child, SimpleNamespace(pid=f"PID{i}")) for i in range(1, len(lines) + 1)]
    return lines


def print_cell(cell_run: CellRun, sentences: list[str]) -> None:
    """Prints the command lines of one cell, its brokers first. `cell_run`: a CellRun with a planned cell."""
    print(f"\n# {cell_run.cell.id}: {'; '.join(sentences)}")
    for words in pretend_start(cell_run.target):
        print(shlex.join(words))
    if isinstance(cell_run.target, Mosquitto):
        print(f"# its configuration: {'; '.join(cell_run.target.config_text('PORT1').splitlines())}")
    if cell_run.attacker:
        print(shlex.join([for_people(COMMAND), *cell_run.attacker.argv(cell_run.target.urls)[1:]]))
    for phase in cell_run.planned.phases:
        print(shlex.join(cell_run.load_argv(phase, cell_run.load_folder(phase))))
