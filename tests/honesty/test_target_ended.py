# SPDX-License-Identifier: Apache-2.0
"""A target that ended is distinguished from one that refuses: the record says which process ended, when, and how."""
import errno
import os
import signal

import pytest
from faults import Broker, cgroup, load, needs_root, refusing


def assert_named(run, broker, how):
    assert run.end() == 1
    assert run.record["status"] in ("incomplete", "failed")
    told = run.anomaly("target_ended")
    assert f"the watched process {broker.pid} ended after " in told and how in told
    return told


@pytest.mark.parametrize("refused", [(), ("pidfd_open", "epoll_pwait2")])
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
def test_a_target_that_was_killed_while_messages_flow(tmp_path, refused, error):
    with Broker() as broker, load(tmp_path / "run", "publish", broker.port, "--pairs", 10, "--watch-pid", broker.pid, "--duration",
                                  "30s", before=refusing(*refused, error=error)) as run:
        run.wait_for("publish ")
        os.kill(broker.pid, signal.SIGKILL)
        assert_named(run, broker, "killed by SIGKILL")
        assert f"the watched process {broker.pid} ended" in run.anomaly("dropped")
        assert f"the watched process {broker.pid} ended" in run.anomaly("broken")
        assert f"the watched process {broker.pid} ended" in run.table()


def test_a_target_that_ended_before_the_first_connect(tmp_path):
    """The target ends while the generator waits for its workers. The workers only see that nobody listens."""
    with Broker() as broker:
        with load(tmp_path / "run", "connect", broker.port, "--connections", 10, "--rate", 5, "--watch-pid", broker.pid,
                  before=lambda: os.kill(broker.pid, signal.SIGKILL)) as run:
            assert_named(run, broker, "killed by SIGKILL")


@needs_root
def test_a_target_that_the_kernel_killed_for_want_of_memory(tmp_path):
    with cgroup("memory", memory__limit_in_bytes=48 << 20) as join:
        with Broker("--memory-limit", "64GiB", "--shape", "classic", before=join) as broker:
            with load(tmp_path / "run", "connect", broker.port, "--connections", 8000, "--watch-pid", broker.pid, "--settle", 0) as run:
                told = assert_named(run, broker, "killed by SIGKILL")
                assert "want of memory" in told
                ceiling, = run.record["summary"]["ceilings"]
                file = f"/sys/fs/cgroup/memory/poolmark-{os.getpid()}/memory.limit_in_bytes"
                assert ceiling["name"] == "target_memory" and f"its control group may have 48.0 MiB ({file})" in ceiling["text"]
                assert ceiling["mend"].startswith(f"echo {96 << 20} | sudo tee {file}") and "--engine" not in ceiling["mend"]
