# SPDX-License-Identifier: Apache-2.0
"""The micro-benchmarks: plan, processes, results, tables."""
