# SPDX-License-Identifier: Apache-2.0
"""Suite files: read and checked whole before anything starts."""
