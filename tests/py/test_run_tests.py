# SPDX-License-Identifier: Apache-2.0
"""The ends of scripts/run-tests and .ci/run: each failed test with its step and the lines that tell why, and the sum."""
import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

LONG = "test_a_name_that_is_longer_than_the_lines_in_which_pytest_tells_the_names_of_those_that_failed"
C_TEST = """
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
static void good(void **state) { (void)state; }
static void bad(void **state) { (void)state; assert_int_equal(2, 3); }
static void gone(void **state) { (void)state; _exit(3); }
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(%s)};
    (void)bad, (void)gone;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_run_tests_names_the_failed_ones_last(tmp_path):
    for name in ("run-tests", "failed-tests"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "tests/py").mkdir(parents=True)
    (tmp_path / "build/tests").mkdir(parents=True)
    for name in ("bad", "gone", "good"):
        source = tmp_path / f"tests/test_{name}.c"
        source.write_text(C_TEST % name)
        subprocess.run(["cc", "-o", tmp_path / f"build/tests/test_{name}", source, "-lcmocka"], check=True)
    (tmp_path / "tests/py/test_sums.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('sum', [2, 3])\ndef " + LONG + "(sum):\n    print('failed: no')\n    assert 1 + 1 == sum\n")
    done = subprocess.run(["scripts/run-tests", "build"], cwd=tmp_path, capture_output=True, text=True, check=False)
    told = done.stdout[done.stdout.index("\nfailed: "):].splitlines()[1:]
    assert done.returncode == 1 and told[-1] == "5 passed, 3 failed", done.stdout
    named = [line for line in told if line.startswith("failed: ")]
    assert named == ["failed: test_bad: bad", "failed: test_gone: ended in or after gone", f"failed: py-test_sums: {LONG}[3]"]
    assert "0x2 != 0x3" in told[1] and any("test_bad.c:" in line for line in told)
    assert "     tests/py/test_sums.py:6: AssertionError" in told
    assert all(line.startswith(("failed: ", "     ")) for line in told[:-1])


def test_no_more_run_at_a_time_than_is_said(tmp_path):
    """The end of a process substitution counted as that of a test: one more ran than was meant."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/run-tests", tmp_path / "scripts")
    executable(tmp_path / "build/tests/test_unit", "#!/bin/sh\necho '[  PASSED  ] 1 test(s)'\n")
    (tmp_path / "tests/honesty").mkdir(parents=True)
    (tmp_path / "tests/test_unit.c").touch()
    for number in range(6):
        (tmp_path / f"tests/honesty/test_{number}.py").write_text(
            "import time\n\ndef test_it():\n    with open('ran', 'a', 1) as file:\n        file.write('+')\n        file.flush()\n"
            "        time.sleep(0.5)\n        file.write('-')\n")
    done = subprocess.run(["scripts/run-tests", "build"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("\n7 passed, 0 failed\n"), done.stdout
    ran = (tmp_path / "ran").read_text()
    assert len(ran) == 12 and max(ran[:end].count("+") - ran[:end].count("-") for end in range(12)) <= 5
    slowest = done.stdout.partition("the slowest, in seconds; of processors:\n")[2].splitlines()[:-1]
    assert len(slowest) == 7 and [re.split(" +", line)[3].rpartition("_")[0] for line in slowest[:6]] == ["honesty-test"] * 6, done.stdout


def test_the_files_that_begin_first_are_there():
    listed = re.search(r"^longest=\((.*?)^\)", (ROOT / "scripts/run-tests").read_text(), re.M | re.S)[1].split()
    assert len(listed) == len(set(listed)) > 20 and [name for name in listed if not (ROOT / f"tests/{name}.py").is_file()] == []


@pytest.fixture
def ci(tmp_path):
    """Runs .ci/run with a `make` that prints what `case` has for its words."""

    def run(case):
        (tmp_path / ".ci").mkdir()
        shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
        executable(tmp_path / "scripts/run-tests", "#!/bin/sh\necho '3 passed, 0 failed'\n")
        executable(tmp_path / "bin/make", f'#!/bin/sh\ncase "$*" in\n{case}\nesac\n')
        for tool in ("cppcheck", "mypy", "gcov", "dh"):
            executable(tmp_path / "bin" / tool, "#!/bin/sh\n")
        return subprocess.run([tmp_path / ".ci/run"], env=os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
                              capture_output=True, text=True, check=False)

    return run


def test_ci_names_each_failure_with_its_step_before_the_sum(ci):
    done = ci("""
        *" test") echo 'failed: test_x: test_a'; echo '     why'; echo '7 passed, 1 failed'; echo 'make: Error 1'; exit 1 ;;
        *" fuzz "*) seq -f 'run %.0f' 5000; echo 'Done 5000 runs' ;;
        *" analyse") echo 'x.c:1: error: null'; exit 2 ;;""")
    assert done.returncode == 1
    assert done.stdout[done.stdout.index("== failures"):] == """== failures
== make test
failed: test_x: test_a
     why
== analysers
     x.c:1: error: null
failed: make test: test_x: test_a
failed: analysers: exit 2, and no test is named
13 passed, 2 failed
"""
    assert "Done 5000 runs" in done.stdout and "run 4000" not in done.stdout


def test_ci_fits_many_failures_in_the_end_of_a_log(ci):
    done = ci("""*" test") for i in $(seq 100); do echo "failed: test_x: test_$i"; seq -f '     %.0f' 15; done
        echo '0 passed, 100 failed'; exit 1 ;;""")
    told = done.stdout[done.stdout.index("== failures"):].splitlines()
    assert len(told) == 1 + 60 + 40 + 1 and told[-1] == "6 passed, 100 failed"
    assert "failed: make test: test_x: test_1" in "\n".join(told)[-4096:].splitlines()


def test_ci_without_a_failure_says_only_the_sum(ci):
    done = ci("""*" test") echo '7 passed, 0 failed' ;;""")
    assert done.returncode == 0 and done.stdout.endswith("\n13 passed, 0 failed\n") and "failures" not in done.stdout
