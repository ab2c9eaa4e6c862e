# SPDX-License-Identifier: Apache-2.0
"""Workflows: the meaning of a comparison's exit code for a job."""
import subprocess

import pytest
from conftest import ROOT


@pytest.mark.parametrize("code, job", [(0, 0), (1, 1), (2, 0), (3, 3), (4, 4), (130, 130)])
def test_only_what_could_not_be_decided_is_no_failure(code, job):
    done = subprocess.run([ROOT / ".github/judge", str(code)], capture_output=True, text=True)
    assert done.returncode == job and done.stdout.startswith("::warning") == (code == 2)


@pytest.mark.parametrize("name", ["nightly", "compare"])
def test_workflows_judge_by_it(name):
    text = (ROOT / f".github/workflows/{name}.yml").read_text()
    assert '.github/judge "$code"' in text and "|| code=$?" in text
