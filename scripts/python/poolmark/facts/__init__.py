# SPDX-License-Identifier: Apache-2.0
"""Facts about the programs, the host and the build."""
