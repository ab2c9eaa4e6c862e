// SPDX-License-Identifier: Apache-2.0
// Time: CLOCK_MONOTONIC of the host in nanoseconds for everything that is measured, wall time only for labels.
// Any thread may call; none of these fails on Linux.
#ifndef POOLMARK_BASE_CLOCK_H
#define POOLMARK_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_now_ns(void); // CLOCK_MONOTONIC; the same in every process of the host (base/time_namespace.h)
int64_t clock_coarse_ns(void);                   // CLOCK_MONOTONIC_COARSE: cheaper, some milliseconds behind
int64_t clock_wall_ns(void);                     // CLOCK_REALTIME since 1970-01-01 UTC
int64_t clock_cpu_ns(void);                      // CPU time of this process
int64_t clock_thread_cpu_ns(void);               // CPU time of the calling thread; a system call
void clock_sleep_until_ns(int64_t monotonic_ns); // returns at once if that is past; signals do not end it

// A time of clock_now_ns as the kernel's CLOCK_MONOTONIC of this process has it, for pthread_cond_timedwait and the like; and
// such a time back.
struct timespec clock_deadline(int64_t monotonic_ns);
int64_t clock_of_kernel_ns(int64_t kernel_ns);

// From now on that is taken off CLOCK_MONOTONIC (base/time_namespace.h). While there is one thread.
void clock_take_off(int64_t ns);

// "2026-11-21T11:23:06Z" (20 characters and NUL) of a wall time.
void clock_format_utc(int64_t wall_ns, char text[static 21]);

#endif
