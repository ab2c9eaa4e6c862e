// SPDX-License-Identifier: Apache-2.0
#include "bench/hot/hot_bench.h"

#define DOWN(prefix, how)                                                                                    \
    {prefix ".opens_tried", "1", "lower", METRIC_SECONDARY, how "opens tried while it was down"},            \
        {prefix ".longest_over_ns", "ns", "lower", METRIC_SECONDARY,                                         \
         how "how long after its deadline the latest checkout of all ended"},                                \
        {prefix ".back_ns", "ns", "lower", METRIC_PRIMARY,                                                   \
         how "from when it was back to the end of the first use that worked"},                               \
    {                                                                                                        \
        prefix ".served_percent", "%", "higher", METRIC_SECONDARY,                                           \
            how "uses in the phase after it, of those in the phase before it"                                \
    }

#define TIMES(prefix, what)                                                                                  \
    {prefix ".p50", "ns", "lower", METRIC_SECONDARY, what ": median"},                                       \
        {prefix ".p99", "ns", "lower", METRIC_SECONDARY, what ": 1 in 100 took longer"},                     \
    {                                                                                                        \
        prefix ".max", "ns", "lower", METRIC_SECONDARY, what ": the longest"                                 \
    }

const struct metric hot_bench_catalogue[] = {
    {"spike.opened", "1", "lower", METRIC_PRIMARY,
     "connections opened for the spike, those that came after its end among them"},
    {"spike.connections_at_end", "1", "lower", METRIC_SECONDARY, "connections open when the last use ended"},
    {"spike.connections_settled", "1", "lower", METRIC_SECONDARY, "open two connects' time later"},
    {"spike.duration_ns", "ns", "lower", METRIC_PRIMARY, "from the start to the end of the last use"},
    TIMES("spike.wait_ns", "time of a checkout"),
    {"spike.failed", "1", "lower", METRIC_SECONDARY, "checkouts that gave nothing within 8 s"},
    {"spike.most_waiting", "1", "none", METRIC_SECONDARY, "most threads that waited in a sample"},
    {"spike.samples", "1", "none", METRIC_SECONDARY, "samples, one is due each 250 us"},
    {"spike.samples_late", "1", "none", METRIC_SECONDARY, "samples taken when the next was due already"},
    {"grid.CELL.per_s", "1/s", "higher", METRIC_PRIMARY, "checkouts, each returned at once, a second"},
    {"grid.CELL.cpu_ns", "ns", "lower", METRIC_SECONDARY, "processor time of all threads for one of them"},
    {"grid.CELL.failed", "1", "lower", METRIC_SECONDARY, "checkouts that gave nothing within 60 s"},
    DOWN("outage.refused", "a backend that refuses: "),
    DOWN("outage.silent", "a backend that does not answer: "),
    {"slow.fast_per_s", "1/s", "higher", METRIC_SECONDARY, "uses a second while connects take no time"},
    {"slow.slow_per_s", "1/s", "higher", METRIC_PRIMARY, "uses a second while connects take --connect"},
    {"slow.failed", "1", "lower", METRIC_SECONDARY, "checkouts without a connection at their deadline"},
    {"slow.longest_wait_ns", "ns", "lower", METRIC_SECONDARY, "the longest checkout while connects are slow"},
    {"pressure.dropped_percent", "%", "none", METRIC_PRIMARY,
     "connections that one sweep over the threshold dropped"},
    {"pressure.oldest_percent", "%", "none", METRIC_SECONDARY,
     "of those, the ones older than every connection kept"},
    {"pressure.unhealthy_dropped_percent", "%", "none", METRIC_SECONDARY,
     "of a tenth that is unhealthy, what the same sweep dropped"},
    {"reuse.ratio", "1", "higher", METRIC_PRIMARY,
     "publishes a second over a warm pool, divided by those with a connect for each"},
    {"reuse.warm_per_s", "1/s", "higher", METRIC_SECONDARY, "publishes at QoS 1 a second over a warm pool"},
    {"reuse.connect_per_s", "1/s", "higher", METRIC_SECONDARY, "the same with a connect for each"},
    TIMES("reuse.warm_ns", "checkout, publish, PUBACK, return"),
    TIMES("reuse.connect_ns", "connect, publish, PUBACK, disconnect"),
    {"reuse.reused_percent", "%", "higher", METRIC_SECONDARY, "checkouts that got a used connection"},
    {"reuse.failed", "1", "lower", METRIC_SECONDARY, "publishes that failed, in both ways"},
    {"memory.connections", "1", "none", METRIC_SECONDARY, "connections that were warm"},
    {"memory.per_connection_bytes", "B", "lower", METRIC_SECONDARY,
     "private memory of the client process for each connection, the pool's and the client's own"},
    {"memory.heap_per_connection_bytes", "B", "lower", METRIC_PRIMARY,
     "of it what the allocator had handed out"},
    {"hosts.growth_percent", "%", "lower", METRIC_PRIMARY,
     "growth of the client's private memory over --cycles cycles, after two"},
    {"hosts.warm_bytes", "B", "lower", METRIC_SECONDARY, "private memory after two cycles"},
    {"hosts.connections", "1", "none", METRIC_SECONDARY, "connections at the end"},
    {"hosts.created", "1", "none", METRIC_SECONDARY, "connections that were opened"},
    {"hosts.failed", "1", "lower", METRIC_SECONDARY, "publishes that failed"},
    {0},
};
