# SPDX-License-Identifier: Apache-2.0
"""Checks records against their files and computes every figure again."""
