# SPDX-License-Identifier: Apache-2.0
"""Suite files. They are read and checked completely before anything starts."""
