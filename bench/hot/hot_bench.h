// SPDX-License-Identifier: Apache-2.0
// poolmark-hot: measures pools of connections to a simulated backend, in the way of their makers' benchmarks.
//
//   main.c       options, which scenario, how often
//   spike.c      50 threads at once use a pool of 5 (HikariCP's benchmark)
//   grid.c       workers x pool size, as fast as they can (deadpool's)
//   outage.c     the backend is down and comes back; the backend is slow
//   pressure.c   what memory pressure drops
//   contenders.c the contenders: the hot pool, and one whose callers open
//   reuse.c      publishes over a warm pool, and with a connect for each
//   hosts.c      memory of many connections, and of many hosts
//   mqtt_pool.c  the hot pool with MQTT clients (mqtt_client.c) for these two
//   backend.c    a backend whose opens take a set time, fail, or hang
//
// In scenarios without a broker, connects and uses are simulated by sleeping, as in HikariCP's benchmark.
// Figures are of elapsed time.
#ifndef POOLMARK_BENCH_HOT_HOT_BENCH_H
#define POOLMARK_BENCH_HOT_HOT_BENCH_H

#include "base/err.h"
#include "base/metric.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// --- backend.c

enum backend_state { BACKEND_WORKS, BACKEND_REFUSES, BACKEND_HANGS };

// A connection remembers the backend's `era`; a connection of an earlier era is broken.
struct backend {
    _Atomic int64_t connect_ns;
    _Atomic int state; // enum backend_state
    _Atomic int era;
    _Atomic int64_t tries, opened, closed;
};

struct backend_connection {
    struct backend *backend;
    int era;
};

// -ECONNREFUSED; -ETIMEDOUT at until_ns when the backend hangs.
int backend_open(struct backend *backend, int64_t until_ns, struct backend_connection **connection);
void backend_close(struct backend_connection *connection);
bool backend_works(const struct backend_connection *connection);

// --- contenders.c

struct bench_limits {
    int least, most; // connections
    int64_t open_timeout_ns;
};

struct bench_counts {
    int64_t total, active, idle, waiting; // total: open, without connections being opened
};

struct hot_contender {
    const char *name, *summary;
    int (*open)(void **pool, struct backend *backend, const struct bench_limits *limits);
    // Takes a connection. 0 or -errno.
    int (*take)(void *pool, int64_t timeout_ns, void **handle, struct backend_connection **connection);
    void (*give)(void *pool, void *handle, bool works);
    void (*counts)(void *pool, struct bench_counts *counts);
    void (*close)(void *pool);
};
extern const struct hot_contender *const hot_contenders[]; // NULL-terminated

// --- scenarios

struct hot_bench_config {
    int64_t threads, least, most, runs;
    int64_t connect_ns, use_ns, phase_ns;
    int64_t operations;                 // in a cell of the grid
    int64_t connections, hosts, cycles; // for the scenarios memory and hosts
    const char *target;                 // "IPV4:PORT" of a broker; NULL: none
    const char *samples;                // file for samples; NULL: none
    bool json;
};

// One run of one contender. Adds metrics to `metrics`, all of them in the catalogue. 0 or -errno.
typedef int hot_scenario(const struct hot_bench_config *config, const struct hot_contender *contender,
                         json_t *metrics, struct err *err);
hot_scenario hot_spike, hot_grid, hot_outage, hot_slow;
hot_scenario hot_pressure;                     // only the hot pool
hot_scenario hot_reuse, hot_memory, hot_hosts; // with a broker; only the hot pool, whatever the contender

extern const struct metric hot_bench_catalogue[];

// For scenarios: threads that start work together; times to be sorted for percentiles.
struct crew;
typedef void crew_function(void *context, int number);
int crew_start(struct crew **crew, int count, crew_function *work, void *context); // they wait for crew_go
void crew_go(struct crew *crew);
void crew_join(struct crew *crew); // waits for the threads, and frees the crew
// Sorts the times, and adds PREFIX.p50, .p99, .max in nanoseconds; no percentile of too few (base/hist.h).
void hot_bench_add_times(json_t *metrics, const char *prefix, int64_t *ns, int64_t count);
// A value that is no number is not there.
void hot_bench_add(json_t *metrics, const char *name, double value);

#endif
