# SPDX-License-Identifier: Apache-2.0
"""The memory model: fit, forecast, curves."""
