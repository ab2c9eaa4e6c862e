# SPDX-License-Identifier: Apache-2.0
"""A signal to the whole process group ends a run like one to the generator: `timeout`, the end of a terminal, a service manager. The
workers died of it, and their clients were counted as dropped by the target's side."""
import os
import signal

import pytest
from faults import Broker, balances, load


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda how: how.name)
def test_a_signal_to_the_group_ends_the_run_in_order(tmp_path, how):
    def alone():
        os.setsid()
        signal.signal(how, signal.SIG_DFL)

    with Broker() as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 10, "--publish-rate", 200, "--qos", 1,
                                  "--duration", "1h", before=alone) as run:
        run.wait_for("publish")
        os.killpg(run.pid, how)
        assert run.end() == 1
    assert run.anomaly("interrupted") == f"interrupted by {how.name}"
    assert run.metric("clients.dropped") == 0 and run.record["status"] == "incomplete"
    assert all(balances(line) for line in run.books.values())
