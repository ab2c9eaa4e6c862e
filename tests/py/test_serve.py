# SPDX-License-Identifier: Apache-2.0
"""report --serve: the page and the files it links to, and nothing else; report --static: SVG and PNG."""
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import made_runs
import pytest
from poolmark.base.errors import PoolmarkError
from poolmark.base.paths import COMMAND
from poolmark.records.read_record import load
from poolmark.report import report, serve


@pytest.fixture(name="served")
def served_page(tmp_path):
    made_runs.make_suite(tmp_path / "run")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "run/link.txt").symlink_to(tmp_path / "secret.txt")
    report.make([load(tmp_path / "run")], tmp_path / "out")
    made, where = serve.server(tmp_path / "out/report.html", [tmp_path / "run"], 0)
    with made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield where, made.server_address[1]
        made.shutdown()
        thread.join()


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def test_the_page_and_its_raw_files_are_served(served):
    where, port = served
    assert where == f"http://127.0.0.1:{port}/out/report.html"
    page = get(where).decode()
    link = re.search(r'href="(\.\./run/[^"]+\.hlog)"', page)[1]
    assert get(f"http://127.0.0.1:{port}/out/{link}").startswith(b"#[Histogram log")


@pytest.mark.parametrize("path", ["secret.txt", "run/link.txt", "run/../secret.txt", "%2e%2e/%2e%2e/etc/passwd", "run/%2e%2e/secret.txt",
                                  "", "run/", "run/cells", "nothing", "%00", "run/%00/x", "%ff%fe", "//[x", "a" * 5000, "run/" + "b" * 300])
def test_nothing_else_is_served(served, path, capfd):
    with pytest.raises(urllib.error.HTTPError) as told:
        get(f"http://127.0.0.1:{served[1]}/{path}")
    assert told.value.code == 404
    assert "Traceback" not in capfd.readouterr().err    # of the server, on the terminal of who started it


def test_a_port_that_is_taken_is_named(served, tmp_path):
    with pytest.raises(PoolmarkError, match=f"port {served[1]} of 127.0.0.1: Address already in use"):
        serve.server(tmp_path / "out/report.html", [], served[1])


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    made_runs.make_suite(tmp_path / "run")
    with subprocess.Popen([sys.executable, str(COMMAND), "report", str(tmp_path / "run"), "--serve"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as child:
        where = next(found[0] for line in child.stdout if (found := re.search(r"http://\S+", line)))
        assert b"<html" in get(where)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0 and "Traceback" not in child.stderr.read()


def test_a_wrong_port_is_a_wrong_call(poolmark, tmp_path):
    done = poolmark("report", tmp_path, "--serve", "99999")
    assert done.returncode == 2 and "--serve" in done.stderr


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="rsvg-convert (librsvg2-bin) is not installed")
def test_static_charts_are_svg_and_png(tmp_path):
    made_runs.make_suite(tmp_path / "run")
    report.make([load(tmp_path / "run")], tmp_path / "out", tmp_path / "static")
    svgs, pngs = (sorted(path.stem for path in (tmp_path / "static").glob(f"*.{kind}")) for kind in ("svg", "png"))
    assert svgs and svgs == pngs
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "static").glob("*.png"))


def test_without_its_program_there_is_no_png_and_the_report_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    made_runs.make_suite(tmp_path / "run")
    report.make([load(tmp_path / "run")], tmp_path / "out", tmp_path / "static")
    assert not list((tmp_path / "static").glob("*.png")) and list((tmp_path / "static").glob("*.svg"))
    assert "no PNG: rsvg-convert is not installed (Debian: librsvg2-bin)" in capsys.readouterr().err
