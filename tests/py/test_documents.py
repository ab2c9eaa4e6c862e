# SPDX-License-Identifier: Apache-2.0
"""Documents: every link to a file is valid, README stays short, commands named in it exist, and options of others are translated."""
import fnmatch
import re
import shutil
import subprocess
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


def test_the_glossary_has_each_term_once():
    """A term with several senses has all of them in one row, where a reader finds them."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.M)
    terms = [term.strip() for row in rows if row not in ("term", "---") for term in row.split(",")]
    assert len(terms) > 150 and sorted({term for term in terms if terms.count(term) > 1}) == []


def test_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 190


@pytest.mark.parametrize("program", ["mosquitto_pub", "mosquitto_sub"])
def test_every_option_of_mosquitto_is_translated(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed (Debian: mosquitto-clients)")
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    has = set(re.findall(r"^ (-\w|--[\w-]+) :", said, re.MULTILINE)) - {"--help"}
    assert len(has) > 20
    text = (ROOT / "docs/mqtt-options.md").read_text(encoding="utf-8").partition("## If you know mosquitto_pub")[2]
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    told = {word for row in rows for word in re.findall(r"(?<![\w-])--?[a-zA-Z][\w*-]*", row)}
    assert not {option for option in has if not any(fnmatch.fnmatch(option, word) for word in told)}
