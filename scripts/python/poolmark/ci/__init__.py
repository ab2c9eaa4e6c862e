# SPDX-License-Identifier: Apache-2.0
"""Nights: two builds interleaved, the history, change points."""
