# SPDX-License-Identifier: Apache-2.0
"""Running the cells of a suite."""
