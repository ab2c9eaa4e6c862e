# SPDX-License-Identifier: Apache-2.0
"""Nightly comparisons: two builds interleaved, the history, change points."""
