# SPDX-License-Identifier: Apache-2.0
"""Reading and writing records, and the figures that follow from their files."""
