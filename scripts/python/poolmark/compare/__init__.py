# SPDX-License-Identifier: Apache-2.0
"""Verdicts on two runs or two builds, and how reliable they are."""
