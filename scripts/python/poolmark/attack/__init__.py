# SPDX-License-Identifier: Apache-2.0
"""Attacks on a broker of one's own, one a file, and the command that makes one of them."""
