# SPDX-License-Identifier: Apache-2.0
"""The lowest layer: errors, units, options, text for people, tables."""
