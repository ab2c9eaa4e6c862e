# SPDX-License-Identifier: Apache-2.0
"""The package's imports: a sub-package imports only earlier ones, no two modules import each other, scipy comes late."""
import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "scripts/python/poolmark"
LAYERS = ["base", "facts", "records", "attack", "suites", "bench", "account", "limits", "verify", "compare", "model", "cluster", "run", "claims", "report", "ci"]


def imports(path: Path) -> set[str]:
    """The package's modules that a module imports, as "base.errors"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("poolmark."):
            name = node.module.removeprefix("poolmark.")
            found |= {name} if "." in name else {f"{name}.{alias.name}" for alias in node.names}
    return found


def modules() -> dict[str, set[str]]:
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): imports(path)
            for layer in LAYERS for path in (PACKAGE / layer).rglob("*.py")}


def test_every_folder_is_a_layer():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(LAYERS)


def test_imports_go_downward():
    upward = [f"{name} imports {other}" for name, others in modules().items() for other in others
              if LAYERS.index(other.split(".")[0]) > LAYERS.index(name.split(".")[0])]
    assert not upward


def test_there_is_no_circle_of_modules():
    left = modules()
    while done := [name for name, others in left.items() if not others & left.keys()]:
        for name in done:
            del left[name]
    assert not left, "these import each other, or what does"


def test_no_module_imports_scipy_before_it_is_called():
    """scipy.stats takes half a second of processor time: each command would pay it that has such a module below it."""
    early = [path.name for path in PACKAGE.rglob("*.py") for node in ast.parse(path.read_text(encoding="utf-8")).body
             if isinstance(node, (ast.Import, ast.ImportFrom)) and "scipy" in ast.unparse(node)]
    assert early == []
