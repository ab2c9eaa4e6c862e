# SPDX-License-Identifier: Apache-2.0
"""Below everything: errors, units, options, text for people, tables."""
