# SPDX-License-Identifier: Apache-2.0
"""The host's clock in Python (base/host_clock.py). tests/honesty/test_time_namespaces.py compares it with the programs' own."""
import time

from poolmark.base import host_clock


def test_the_text_of_the_kernel_is_understood():
    assert host_clock.parse("monotonic        5000 250000000\nboottime 7 0\n") == 5_000_250_000_000
    assert host_clock.parse("monotonic -2 500000000\n") == -1_500_000_000
    assert host_clock.parse("boottime 7 0\n") == 0 == host_clock.parse("")


def test_it_goes_as_the_monotonic_clock_does():
    before = time.monotonic_ns() - host_clock.now_ns()
    assert abs(before - host_clock.ahead_ns()) < 1_000_000_000
