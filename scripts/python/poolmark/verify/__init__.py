# SPDX-License-Identifier: Apache-2.0
"""Records checked against their files; every figure computed again."""
