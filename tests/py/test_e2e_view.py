# SPDX-License-Identifier: Apache-2.0
"""What people and programs see of the load generator: the summary, the percentile files."""
import json
import re
import subprocess

import pytest
from poolmark.base.paths import build_dir
from poolmark.records import hlog

PROGRAM = build_dir() / "poolmark-loadgen"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="the programs are not built")


@pytest.fixture(scope="module")
def port():
    with subprocess.Popen([PROGRAM.with_name("poolmark-broker"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as broker:
        try:
            yield broker.stdout.readline().split(":")[-1].strip()
        finally:
            broker.terminate()


def run(port, *words, code=0, **how):
    done = subprocess.run([PROGRAM, words[0], "--target", f"mqtt://127.0.0.1:{port}", "--engine", "raw", *map(str, words[1:])],
                          capture_output=True, text=True, timeout=60, check=False, **how)
    assert done.returncode == code, done.stderr
    return done


def test_the_summary_is_short_and_every_name_comes_on_request(port, tmp_path):
    words = ["publish", "--pairs", 5, "--qos", 1, "--duration", "1s", "--warmup", 0]
    short = run(port, *words, "--record", tmp_path / "a").stdout
    assert 15 <= len(short.splitlines()) <= 25
    assert re.search(r"^connections +10 +10$", short, re.M) and re.search(r"^delivery( +\S+ \w+){5} +1000$", short, re.M), short
    assert str(tmp_path / "a") in short and "delivery.p99" not in short
    whole = run(port, *words, "--record", tmp_path / "b", "--all").stdout
    metrics = json.loads((tmp_path / "b/run.json").read_text())["metrics"]
    assert len(metrics) > 30 and all(re.search(rf"^{re.escape(name)} ", whole, re.M) for name in metrics)
    assert run(port, *words, "--quiet").stdout == ""


def test_percentile_files_agree_with_the_log_as_another_implementation_reads_it(port, tmp_path):
    """HdrHistogram_c writes NAME.hgrm; poolmark.records.hlog decodes latency.hlog in Python."""
    run(port, "publish", "--pairs", 5, "--qos", 1, "--duration", "1s", "--warmup", 0, "--record", tmp_path / "run", "--hgrm", "--quiet")
    logged = hlog.by_tag(hlog.read(tmp_path / "run/latency.hlog"))
    files = {path.stem: path.read_text() for path in (tmp_path / "run").glob("*.hgrm")}
    assert set(files) == set(logged) and {"connect", "ack", "delivery", "delivery_uncorrected"} <= set(files)
    for name, text in files.items():
        lines = text.splitlines()
        assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        rows = [line.split() for line in lines[2:] if line and line[0] != "#"]
        assert float(rows[-1][1]) == 1 and int(rows[-1][2]) == logged[name].count
        for value, share, below, _ in rows:
            assert float(value) == pytest.approx(logged[name].percentile(100 * int(below) / logged[name].count) / 1e6, rel=2e-3, abs=1e-3), share
    listed = json.loads((tmp_path / "run/run.json").read_text())["files"]
    assert {f"{name}.hgrm" for name in files} <= set(listed)


def test_percentile_files_without_a_record_are_a_wrong_call(port):
    assert "--record" in run(port, "connect", "--connections", 1, "--hgrm", code=2).stderr
