# SPDX-License-Identifier: Apache-2.0
"""Anomalies of a benchmark run that a test may expect."""


def told(data):
    """The anomalies, without those of a busy, slow or throttled host, which a test machine often is."""
    return [one for one in data["anomalies"] if one["what"] not in ("busy", "slow", "throttled")]


def anomalies(data):
    return [one["what"] for one in told(data)]


def texts(data):
    return [one["text"] for one in told(data)]
