// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t ahead_ns; // of this process's CLOCK_MONOTONIC against the host's; written at the start only

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now); // cannot fail: the ids below exist on every Linux, and `now` is ours
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC) - ahead_ns;
}

int64_t clock_coarse_ns(void)
{
    return read_ns(CLOCK_MONOTONIC_COARSE) - ahead_ns;
}

int64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

int64_t clock_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

void clock_sleep_until_ns(int64_t monotonic_ns)
{
    struct timespec until = clock_deadline(monotonic_ns);
    // The time is absolute, so a restart after a signal adds no drift.
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

struct timespec clock_deadline(int64_t monotonic_ns)
{
    int64_t kernel_ns = 0; // past: the kernel takes no time below 0
    if (monotonic_ns > 0)
        kernel_ns = ahead_ns > INT64_MAX - monotonic_ns ? INT64_MAX : monotonic_ns + ahead_ns;
    if (kernel_ns < 0)
        kernel_ns = 0;
    return (struct timespec){.tv_sec = kernel_ns / NS_PER_S, .tv_nsec = kernel_ns % NS_PER_S};
}

int64_t clock_of_kernel_ns(int64_t kernel_ns)
{
    return kernel_ns - ahead_ns;
}

void clock_take_off(int64_t ns)
{
    ahead_ns = ns;
}

void clock_format_utc(int64_t wall_ns, char text[static 21])
{
    // Rounded down, also before 1970, where C's division rounds up.
    int64_t seconds = wall_ns / NS_PER_S - (wall_ns % NS_PER_S < 0 ? 1 : 0);
    time_t time = (time_t)seconds;
    struct tm utc;
    // 292 years fit in 64-bit nanoseconds on either side of 1970, so the year always has four digits.
    gmtime_r(&time, &utc);
    strftime(text, 21, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
