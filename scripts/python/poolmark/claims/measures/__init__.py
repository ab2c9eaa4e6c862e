# SPDX-License-Identifier: Apache-2.0
"""A small function for each claim (claims/measured.py)."""
