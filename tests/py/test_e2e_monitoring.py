# SPDX-License-Identifier: Apache-2.0
"""The metrics pages of broker and generator, the Prometheus configuration and the Grafana dashboard that read them."""
import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from poolmark.base.paths import build_dir

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "scripts/monitoring"
BUILD = build_dir()
pytestmark = pytest.mark.skipif(not (BUILD / "poolmark-loadgen").exists(), reason="the programs are not built")
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian package prometheus)")
needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
GUARD_S = 60


def fetch(url):
    with urllib.request.urlopen(url, timeout=GUARD_S) as answer:
        return answer.read().decode()


def until(question, what):
    """Asks until the answer is neither empty nor an error of the network."""
    limit = time.monotonic() + GUARD_S
    while time.monotonic() < limit:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if found := question():
                return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} in {GUARD_S} s")


@pytest.fixture(scope="module")
def world():
    """A broker and a load that goes on, each with its page: {"poolmark-broker": address, "poolmark-load": address}."""
    with contextlib.ExitStack() as stack:
        def start(*argv, **how):
            process = stack.enter_context(subprocess.Popen([*map(str, argv)], text=True, **how))
            stack.callback(process.terminate)
            return process

        broker = start(BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", stdout=subprocess.PIPE)
        told = dict(broker.stdout.readline().split() for _ in range(2))
        load = start(BUILD / "poolmark-loadgen", "publish", "--target", f"mqtt://{told['listening']}", "--engine", "raw", "--pairs", 5,
                     "--qos", 1, "--publish-rate", 500, "--rate", 100, "--duration", "5m", "--warmup", 0, "--watch-pid", broker.pid,
                     "--metrics", "127.0.0.1:0", "--json", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        page = re.fullmatch(r"poolmark-loadgen: metrics at http://(\S+)/metrics\n", load.stderr.readline())[1]
        until(lambda: 'kind="delivery",quantile="0.99"' in fetch(f"http://{page}/metrics"), "delivery on the generator's page")
        yield {"poolmark-broker": told["metrics"], "poolmark-load": page}


def value(text, series):
    return float(re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)[1])


def test_the_generators_page_tells_the_run(world):
    def page():
        told = fetch(f"http://{world['poolmark-load']}/metrics")
        whole = 'poolmark_load_asked_per_second{of="messages"} 500\n' in told  # not the first second, which is one in part
        return told if whole and value(told, "poolmark_load_messages_received_total") > 100 else ""

    text = until(page, "page with more than 100 messages")
    assert value(text, "poolmark_load_connections") == value(text, "poolmark_load_connections_wanted") == 10
    assert value(text, 'poolmark_load_asked_per_second{of="messages"}') == 500
    sent, came = (value(text, f"poolmark_load_messages_{name}_total") for name in ("sent", "received"))
    assert sent > 50 and came > 100
    assert value(text, 'poolmark_load_latency_seconds_count{kind="connect"}') == 10
    assert 0 < value(text, 'poolmark_load_latency_seconds_sum{kind="delivery"}') / value(text, 'poolmark_load_latency_seconds_count{kind="delivery"}') < 60
    assert value(text, 'poolmark_load_clients_failed_total{reason="timeout"}') == 0
    assert value(text, "poolmark_load_target_resident_bytes") > 1e6 and 'poolmark_load_info{scenario="publish",engine="raw"' in text
    names = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)
    assert len(dict(names)) == len(names) and all(name.endswith("_total") == (kind == "counter") for name, kind in names)


def test_the_page_has_a_path_and_a_method(world):
    for path, data, code in (("/", None, 404), ("/metrics", b"x", 405)):
        with pytest.raises(urllib.error.HTTPError) as wrong:
            urllib.request.urlopen(f"http://{world['poolmark-load']}{path}", data=data, timeout=GUARD_S)
        assert wrong.value.code == code


def test_an_address_that_cannot_be_served_is_named(world):
    for address, code, said in (("9100", 2, '--metrics: "9100" is not ADDRESS:PORT'), (world["poolmark-load"], 1, "Address already in use")):
        done = subprocess.run([BUILD / "poolmark-loadgen", "connect", "--target", "mqtt://127.0.0.1:1", "--metrics", address],
                              capture_output=True, text=True, timeout=GUARD_S, check=False)
        assert done.returncode == code and said in done.stderr and done.stdout == ""


def test_an_address_in_use_leaves_no_record(world, tmp_path):
    """It left one, so that the corrected call was refused for its folder."""
    done = subprocess.run([BUILD / "poolmark-loadgen", "connect", "--target", "mqtt://127.0.0.1:1", "--metrics", world["poolmark-load"],
                           "--record", tmp_path / "run"], capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 1 and "--metrics" in done.stderr and not (tmp_path / "run").exists()


def expressions():
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    return [query["expr"] for panel in dashboard["panels"] for query in panel.get("targets", ())] + \
        [one["expr"] for one in dashboard["annotations"]["list"]]


def test_dashboard_and_document_name_metrics_that_the_pages_have(world):
    pages = "".join(fetch(f"http://{address}/metrics") for address in world.values())
    known = set(re.findall(r"^# TYPE (\w+)", pages, re.M))
    for expression in expressions():
        assert (used := set(re.findall(r"poolmark_\w+", expression))) and used <= known, expression
    told = set(re.findall(r"poolmark_load_\w+", (ROOT / "docs/monitoring.md").read_text()))
    assert told <= known


@needs_promtool
def test_promtool_accepts_both_pages_and_the_configuration(world):
    for address in world.values():
        done = subprocess.run(["promtool", "check", "metrics"], input=fetch(f"http://{address}/metrics"), capture_output=True, text=True,
                              timeout=GUARD_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(["promtool", "check", "config", MONITORING / "prometheus.yml"], capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_prometheus_has_a_series_for_every_expression_of_the_dashboard(world, tmp_path):
    text = (MONITORING / "prometheus.yml").read_text()
    for name, port in (("poolmark-broker", 9100), ("poolmark-load", 9101)):
        assert text.count(f"127.0.0.1:{port}\"") == 1
        text = text.replace(f'"127.0.0.1:{port}"', f'"{world[name]}"')
    (tmp_path / "prometheus.yml").write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open(tmp_path / "log", "wb") as log, \
            subprocess.Popen(["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                              f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log, cwd=tmp_path) as server:
        try:
            def ask(expression):
                answer = json.loads(fetch(f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
                assert answer["status"] == "success", answer
                return answer["data"]["result"]

            def last(expression):
                return float(ask(expression)[0]["value"][1])

            until(lambda: len(ask("up == 1")) == 2, f"scrape of both pages; {(tmp_path / 'log').read_text()[-500:]}")
            until(lambda: ask("rate(poolmark_load_messages_received_total[5s]) > 0"), "rate")
            assert last("sum(poolmark_load_connections)") == last("sum(poolmark_broker_connections)") == 10
            for expression in expressions():
                if " > 0" not in expression and " unless " not in expression:  # those have nothing to show when all is well
                    until(lambda expression=expression: ask(expression), expression)
        finally:
            server.terminate()
