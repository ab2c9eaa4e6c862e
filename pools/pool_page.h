// SPDX-License-Identifier: Apache-2.0
// Statistics of several pools on one page: for people, or for Prometheus. The caller has read the statistics;
// these functions only write. Any thread, one at a time per FILE. Whether the FILE could be written is for the
// caller to ask (ferror).
#ifndef POOLMARK_POOLS_POOL_PAGE_H
#define POOLMARK_POOLS_POOL_PAGE_H

#include "pools/pool.h"

#include <stdio.h>

struct pool_page_row {
    const char *name; // UTF-8; any other bytes reach the page as they are
    const char *strategy;
    size_t object_bytes;
    struct pool_stats stats;
};

// The families poolmark_pool_*, each with a sample {pool="NAME",strategy="STRATEGY"} for each row. A row whose
// statistics are unknown has none. Text
// exposition format 0.0.4: a backslash, a quote and a newline in a name are escaped.
void pool_page_prometheus(const struct pool_page_row *rows, size_t count, FILE *to);

// A heading and a line for each row. Sizes in bytes.
void pool_page_text(const struct pool_page_row *rows, size_t count, FILE *to);

#endif
