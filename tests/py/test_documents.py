# SPDX-License-Identifier: Apache-2.0
"""Documents: every link to a file is valid, README stays short, and commands named in it exist."""
import re
from pathlib import Path

import pytest

from poolmark import cli

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results/README.md", ROOT / "results/reference/README.md",
             *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if not re.match(r"https?:|mailto:", link) and not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(document):
    named = set(re.findall(r"scripts/poolmark ([a-z]+)", document.read_text(encoding="utf-8")))
    assert named <= set(cli.COMMANDS)


def test_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
