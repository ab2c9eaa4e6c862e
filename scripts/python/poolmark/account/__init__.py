# SPDX-License-Identifier: Apache-2.0
"""Accounts: where the bytes of a connection go."""
