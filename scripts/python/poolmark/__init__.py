# SPDX-License-Identifier: Apache-2.0
"""The modules behind scripts/poolmark; see there."""
