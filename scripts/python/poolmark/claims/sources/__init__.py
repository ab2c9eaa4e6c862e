# SPDX-License-Identifier: Apache-2.0
"""The runs that claims share, each made once."""
