// SPDX-License-Identifier: Apache-2.0
// What poolmark-hot measures: pools of connections to a simulated backend, the way their makers measure them.
//
//   main.c       options, which scenario, how often
//   spike.c      50 at once come to a pool of 5 (HikariCP's benchmark)
//   grid.c       workers x pool size, as fast as they can (deadpool's)
//   outage.c     the backend is down and comes back; the backend is slow
//   contenders.c who is measured: the hot pool, and one whose callers open
//   reuse.c      publishes over a warm pool, and with a connect for each
//   hosts.c      memory of many connections, and of many hosts
//   mqtt_pool.c  the hot pool with MQTT clients (mqtt_client.c) for these two
//   backend.c    opens take as long as they are told to, fail, or hang
//
// Where there is no broker connects and uses are simulated by sleeping, as HikariCP's benchmark does. Figures
// are of elapsed time.
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

// Connections remember the backend's `era`; one of an earlier era is broken.
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

// -ECONNREFUSED; -ETIMEDOUT at until_ns when it hangs.
int backend_open(struct backend *backend, int64_t until_ns, struct backend_connection **connection);
void backend_close(struct backend_connection *connection);
bool backend_works(const struct backend_connection *connection);

// --- contenders.c

struct bench_limits {
    int least, most; // connections
    int64_t open_timeout_ns;
};

struct bench_counts {
    int64_t total, active, idle, waiting; // total: open, without those that are being opened
};

struct hot_contender {
    const char *name, *summary;
    int (*open)(void **pool, struct backend *backend, const struct bench_limits *limits);
    // The connection, or 0 or -errno.
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
    int64_t operations;                 // of a cell of the grid
    int64_t connections, hosts, cycles; // of memory; of hosts
    const char *target;                 // "IPV4:PORT" of a broker; NULL: none
    const char *samples;                // a file; NULL: none
    bool json;
};

// One run of one contender; adds metrics to `metrics`, all of the catalogue. 0 or -errno.
typedef int hot_scenario(const struct hot_bench_config *config, const struct hot_contender *contender,
                         json_t *metrics, struct err *err);
hot_scenario hot_spike, hot_grid, hot_outage, hot_slow;
hot_scenario hot_reuse, hot_memory, hot_hosts; // with a broker; of the hot pool alone, whatever the contender

extern const struct metric hot_bench_catalogue[];

// For scenarios: threads that begin together; times that are sorted for percentiles.
struct crew;
typedef void crew_function(void *context, int number);
int crew_start(struct crew **crew, int count, crew_function *work, void *context); // they wait
void crew_go(struct crew *crew);
void crew_join(struct crew *crew); // and frees it
// Sorts, and adds PREFIX.p50, .p99, .max in nanoseconds.
void hot_bench_add_times(json_t *metrics, const char *prefix, int64_t *ns, int64_t count);
void hot_bench_add(json_t *metrics, const char *name, double value);

#endif
