# SPDX-License-Identifier: Apache-2.0
"""bench/gbench.cc builds with the installed Google Benchmark and with later versions. A shim changes the installed header to the
forms of 1.8 and 1.9."""
import subprocess

import pytest
from conftest import ROOT

INSTALLED = """\
#include_next <benchmark/benchmark.h>
"""

# 1.8: `bool error_occurred` became `Skipped skipped`.
SKIPPED = """\
#define error_occurred skipped
#include_next <benchmark/benchmark.h>
#undef error_occurred
"""

# 1.9: the caller owns the reporter that the library creates.
OWNED = SKIPPED + """\
#include <memory>
namespace benchmark {
inline std::unique_ptr<BenchmarkReporter> made_reporter() { return nullptr; }
}
#define CreateDefaultDisplayReporter made_reporter
"""


def compiled(tmp_path, shim, source):
    folder = tmp_path / "benchmark"
    folder.mkdir()
    (folder / "benchmark.h").write_text("#pragma once\n" + shim)
    return subprocess.run(["g++", "-std=c++17", "-D_GNU_SOURCE", "-fsyntax-only", f"-I{tmp_path}", f"-I{ROOT}", str(source)],
                          capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("shim", [INSTALLED, SKIPPED, OWNED], ids=["installed", "1.8", "1.9"])
def test_the_shim_over_google_benchmark_builds(tmp_path, shim):
    done = compiled(tmp_path, shim, ROOT / "bench" / "gbench.cc")
    assert done.returncode == 0, done.stderr


def test_a_use_of_what_1_8_took_away_would_be_found(tmp_path):
    source = tmp_path / "old.cc"
    source.write_text("#include <benchmark/benchmark.h>\n"
                      "bool failed(const benchmark::BenchmarkReporter::Run &run) { return run.error_occurred; }\n")
    done = compiled(tmp_path, SKIPPED, source)
    assert done.returncode != 0 and "error_occurred" in done.stderr
