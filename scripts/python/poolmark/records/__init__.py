# SPDX-License-Identifier: Apache-2.0
"""Reads and writes records, and computes the figures that follow from their files."""
