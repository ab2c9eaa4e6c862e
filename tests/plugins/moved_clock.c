// SPDX-License-Identifier: Apache-2.0
// A library that tests preload into one rank of several: its monotonic clock is POOLMARK_CLOCK_MOVED_NS ahead of the kernel's.
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static const long long SECOND_NS = 1000000000;

static long long moved_ns(clockid_t id)
{
    const char *text = getenv("POOLMARK_CLOCK_MOVED_NS");
    return id == CLOCK_MONOTONIC && text ? atoll(text) : 0;
}

static struct timespec moved(const struct timespec *time, long long by_ns)
{
    long long ns = time->tv_sec * SECOND_NS + time->tv_nsec + by_ns;
    return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, time);
    if (code == 0)
        *time = moved(time, moved_ns(id));
    return code;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *time, struct timespec *left)
{
    static int (*real)(clockid_t, int, const struct timespec *, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_nanosleep");
    struct timespec until = *time;
    if (flags & TIMER_ABSTIME)
        until = moved(time, -moved_ns(id));
    return real(id, flags, &until, left);
}
