# SPDX-License-Identifier: Apache-2.0
"""What the programs, the host and the build say of themselves."""
