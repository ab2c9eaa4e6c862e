// SPDX-License-Identifier: Apache-2.0
// Numbers as people write them: 10k, 1M (powers of 1000), 4KiB, 2GiB, 4KB, 500us, 30s, 5m, 1000/s.
// Parsing takes the whole text or fails with -EINVAL (not a number, unknown unit) or -ERANGE (does not fit);
// nothing is written then. Any thread may call.
#ifndef POOLMARK_BASE_UNITS_H
#define POOLMARK_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

// A count: 0, 128, 10k, 1.5M, 1M. k (or K), M and G are powers of 1000. The result must be a whole number.
int units_parse_count(const char *text, int64_t *count) __attribute__((warn_unused_result));

// Bytes: 3072, 4KiB, 2MiB, 1GiB (powers of 1024), 4KB or 4kB, 1MB, 1GB (powers of 1000), a trailing B alone.
int units_parse_bytes(const char *text, int64_t *bytes) __attribute__((warn_unused_result));

// A span of time in nanoseconds: 500ns, 20us, 5ms, 30s, 2m, 1h; a bare number is seconds; fractions allowed
// (1.5s).
int units_parse_duration_ns(const char *text, int64_t *ns) __attribute__((warn_unused_result));

// A rate per second: 1000, 10k, 1000/s.
int units_parse_rate_per_s(const char *text, double *per_s) __attribute__((warn_unused_result));

// For people. Each returns `text`, always terminated, truncated to `size`. 24 bytes hold any result.
char *units_format_count(int64_t count, char *text, size_t size); // 999, 10.0k, 1.00M
char *units_format_bytes(int64_t bytes, char *text, size_t size); // 738 B, 17.3 KiB, 1.52 GiB
char *units_format_duration(int64_t ns, char *text, size_t size); // 812 ns, 17.1 us, 2.04 ms, 1.50 s

#endif
