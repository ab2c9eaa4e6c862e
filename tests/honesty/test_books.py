# SPDX-License-Identifier: Apache-2.0
"""Every sample is accounted for: the books of a run that goes well close, and those of one that does not say what is
missing."""
import pytest
from faults import balances, load


@pytest.mark.parametrize("engine", ["paho", "raw"])
def test_a_run_that_goes_well_closes_its_books(tmp_path, broker, engine):
    with load(tmp_path / "run", "publish", broker.port, "--pairs", 5, "--qos", 1, "--publish-rate", 500, "--duration",
              "500ms", "--warmup", "100ms", engine=engine) as run:
        assert run.end() == 0
        assert run.record["status"] == "complete"
        assert run.books["connects"] == {"attempted": 10, "measured": 10, "lost": 0, "failed": 0, "not_sent": 0,
                                         "unreadable": 0, "unfinished": 0}
        assert all(balances(line) for line in run.books.values())
