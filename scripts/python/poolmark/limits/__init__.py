# SPDX-License-Identifier: Apache-2.0
"""The highest rate that holds a bound: bounds, the verdict of a trial, the search, its answer. run/limit.py runs the trials."""
