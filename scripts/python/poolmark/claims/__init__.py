# SPDX-License-Identifier: Apache-2.0
"""Measures what others published about pools again, and gives each claim a verdict (scripts/poolmark claims)."""
