// SPDX-License-Identifier: Apache-2.0
// Memory pressure: the pools of a registry give memory back when a control group, the kernel or a bound asks
// for it. The pools that were used least give first, and only until enough came back.
//
//     struct pool_pressure_config config = POOL_PRESSURE_DEFAULTS;
//     config.registry = registry;
//     config.bound_bytes = 256 << 20; // 0: only what control group and kernel say
//     struct pool_pressure *pressure;
//     if (pool_pressure_open(&pressure, &config, &err) < 0) ...
//     ...
//     pool_pressure_close(pressure); // before the registry is closed
//
// Sources. Those that are there are watched; pool_pressure_stats says which:
//   POOL_PRESSURE_BOUND  the pools together own more than `bound_bytes`.
//   POOL_PRESSURE_GROUP  the control group uses more than `group_percent` of its limit: memory.high (without
//                        one memory.max) in version 2, memory.limit_in_bytes in version 1. In version 2 also when
//                        the kernel counted another `high` or `max` in memory.events, where all that the group
//                        may use is used and given back again and again.
//   POOL_PRESSURE_STALL  tasks waited for memory: `stall_us` within `stall_window_us`, by the kernel's Pressure
//                        Stall Information (memory.pressure of the group, /proc/pressure/memory of the host).
//
// The thread of its own is woken by the kernel: by a file event of memory.events, an eventfd at the mark of a
// group of version 1, or a PSI trigger. It also looks every `every_ns`: nothing wakes it for the bound, and
// objects that are put while the pressure lasts have to be given back too. Without the thread, call
// pool_pressure_look now and then. The window is 2 s by default, since the kernel lets users without privilege
// have multiples of that only. Where no trigger can be had, the looks read the sums of the same file.
//
// Order. Each look counts a pool's gets since the last one, and halves what it counted before. Pools give
// back in rising order of that count, those with more idle memory first where it is equal. A pool with less
// than POOL_PRESSURE_IDLE_MIN idle is left alone, as is a strategy without POOL_CAP_SHRINKS. A pool gives all
// it can (pool_trim). Its next gets make objects anew: that is the price, which the pools further up in the
// order do not pay. A pool whose strategy keeps no statistics comes last.
//
// How much: down to 5 % below the bound or mark. A stall, which has no amount, asks for a quarter of what is idle.
//
// Threads: any thread may call anything between open and close; looks take effect one after the other. Not
// from a listener or a construct, destruct or reset of a pool. Not in a child of fork.
//
// Documentation of the kernel: accounting/psi.rst, admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/memory.rst.
#ifndef POOLMARK_POOLS_POOL_PRESSURE_H
#define POOLMARK_POOLS_POOL_PRESSURE_H

#include "pools/pool_registry.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pool_pressure;

enum pool_pressure_source {
    POOL_PRESSURE_BOUND = 1 << 0,
    POOL_PRESSURE_GROUP = 1 << 1,
    POOL_PRESSURE_STALL = 1 << 2,
    POOL_PRESSURE_CALLER = 1 << 3, // pool_pressure_relieve
};

#define POOL_PRESSURE_IDLE_MIN ((int64_t)64 << 10) // bytes

// A pool gave memory back. Called on the thread that looked, after each pool.
struct pool_pressure_event {
    unsigned sources;   // of enum pool_pressure_source
    int64_t at_ns;      // CLOCK_MONOTONIC when the pool had given back
    int64_t began_ns;   // when this look began to give back
    int64_t bytes;      // of this pool
    int64_t bytes_back; // of this look so far
    int64_t wanted;     // bytes that this look wants
};
typedef void pool_pressure_listener(void *context, const char *pool_name,
                                    const struct pool_pressure_event *event);

struct pool_pressure_config {
    struct pool_registry *registry;
    int64_t bound_bytes;     // 0: no bound
    const char *group;       // folder of a control group; NULL: the process's own; "": none
    int group_percent;       // 1 to 100
    const char *stall_file;  // NULL: the group's, or the host's; "": none
    int64_t stall_us;        // 1 to stall_window_us
    int64_t stall_window_us; // 500 000 to 10 000 000
    int64_t every_ns;        // of the own thread; at least 1 ms
    bool own_thread;
    pool_pressure_listener *listener; // may be NULL
    void *listener_context;
};

#define POOL_PRESSURE_DEFAULTS                                                                               \
    {                                                                                                        \
        .registry = NULL, .bound_bytes = 0, .group = NULL, .group_percent = 90, .stall_file = NULL,          \
        .stall_us = 150000, .stall_window_us = 2000000, .every_ns = 1000000000, .own_thread = true,          \
        .listener = NULL, .listener_context = NULL                                                           \
    }

struct pool_pressure_stats {
    unsigned sources;                     // that are watched
    bool wakes_by_group, wakes_by_stall;  // the kernel wakes the own thread
    int64_t looks;                        // since open
    int64_t by_bound, by_group, by_stall; // looks that found pressure, by source
    int64_t trims;                        // pools that gave something back, each time counted
    int64_t bytes_back;                   // in all
    int64_t longest_ns;                   // of giving back in one look
};

// -EINVAL: a field is out of bounds, or `group` is no control group; `err` names it. -ENOTSUP: there is
// nothing to watch. -ENOMEM, -EAGAIN, -EMFILE: everything undone.
int pool_pressure_open(struct pool_pressure **pressure, const struct pool_pressure_config *config,
                       struct err *err) __attribute__((warn_unused_result));

// Looks at every source now, and lets pools give back when one says so. Returns bytes given back.
int64_t pool_pressure_look(struct pool_pressure *pressure);

// For a caller that notices pressure elsewhere: lets pools give back until there are `bytes`, or no more.
// Returns bytes given back.
int64_t pool_pressure_relieve(struct pool_pressure *pressure, int64_t bytes);

void pool_pressure_stats(struct pool_pressure *pressure, struct pool_pressure_stats *stats);

void pool_pressure_close(struct pool_pressure *pressure); // waits for a look under way; NULL is allowed

#ifdef __cplusplus
}
#endif

#endif
