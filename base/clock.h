// SPDX-License-Identifier: Apache-2.0
// Time: CLOCK_MONOTONIC in nanoseconds for everything that is measured, wall time only for labels.
// Any thread may call; none of these fails on Linux.
#ifndef POOLMARK_BASE_CLOCK_H
#define POOLMARK_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_now_ns(void);                      // CLOCK_MONOTONIC; the same in every process of the host
int64_t clock_coarse_ns(void);                   // CLOCK_MONOTONIC_COARSE: cheaper, some milliseconds behind
int64_t clock_wall_ns(void);                     // CLOCK_REALTIME since 1970-01-01 UTC
int64_t clock_cpu_ns(void);                      // CPU time of this process
int64_t clock_thread_cpu_ns(void);               // CPU time of the calling thread; a system call
void clock_sleep_until_ns(int64_t monotonic_ns); // returns at once if that is past; signals do not end it

// "2026-11-21T11:23:06Z" (20 characters and NUL) of a wall time.
void clock_format_utc(int64_t wall_ns, char text[static 21]);

#endif
