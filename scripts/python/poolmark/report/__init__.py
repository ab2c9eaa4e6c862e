# SPDX-License-Identifier: Apache-2.0
"""Creates pages and Markdown from records."""
