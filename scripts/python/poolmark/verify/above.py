# SPDX-License-Identifier: Apache-2.0
"""What later layers know of records: the modules that make figures and tables of their kinds again. They are named and loaded when a
record needs them, as cli.py does with commands, since this layer comes before theirs.

A module has account(run, account) and documents(run) -> {name: text}; that of reports has check(run, added, account, wrong).
"""
import importlib
from types import ModuleType

MODULES = {"claims": "claims.again", "sensitivity": "compare.sensitivity_again", "report": "report.check_report"}


def needed(kind: str) -> ModuleType:
    """KeyError for a kind that no later layer makes."""
    return importlib.import_module(f"poolmark.{MODULES[kind]}")


def module(kind: str) -> ModuleType | None:
    """None for a kind that no later layer makes."""
    return needed(kind) if kind in MODULES else None
