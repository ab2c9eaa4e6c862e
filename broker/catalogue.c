// SPDX-License-Identifier: Apache-2.0
#include "broker/catalogue.h"

const struct metric broker_catalogue[] = {
    {"pool.hit_rate", "%", "higher", METRIC_SECONDARY,
     "gets served from memory the pool already had, divided by gets; all pools, the whole run of the broker"},
    {"pool.expansions", "1", "none", METRIC_SECONDARY, "expansions of all pools"},
    {"pool.longest_expansion_ns", "ns", "lower", METRIC_SECONDARY, "the longest of them"},
    {"pool.overflow", "1", "none", METRIC_SECONDARY, "gets past max of all pools, served by the heap"},
    {"pool.refused", "1", "none", METRIC_SECONDARY, "gets past max of all pools, refused"},
    {"pool.pressure_back_bytes", "B", "none", METRIC_SECONDARY,
     "bytes that pools gave back under memory pressure (--pressure)"},
    {"pool.pressure_trims", "1", "none", METRIC_SECONDARY, "times that a pool did"},
    {"pool.pressure_longest_ns", "ns", "lower", METRIC_SECONDARY,
     "the longest time that one look gave memory back"},
    {"broker.peak_connections", "1", "none", METRIC_SECONDARY,
     "most objects of the pool `connections` in use at once"},
    {"broker.connections_accepted", "1", "none", METRIC_SECONDARY, "clients that the broker took"},
    {"broker.connections_refused", "1", "none", METRIC_SECONDARY, "clients that it refused by a CONNACK"},
    {"broker.connections_closed_for_cause", "1", "none", METRIC_SECONDARY,
     "connections that it closed for what they sent: no MQTT, larger than a bound, or no memory for it"},
    {"broker.memory_peak_bytes", "B", "lower", METRIC_SECONDARY,
     "most bytes held for clients at once, by the broker's own account"},
    {"broker.memory_highest_bytes", "B", "lower", METRIC_SECONDARY,
     "most resident memory of the process so far, as the kernel has it (VmHWM); in a suite's cell of all "
     "instances together"},
    {"broker.memory_bound_bytes", "B", "none", METRIC_SECONDARY,
     "the bound of that memory, computed from the options and printed at the start (broker/bounds.h); "
     "likewise"},
    {"broker.memory_refused", "1", "none", METRIC_SECONDARY,
     "requests for memory that --memory-limit refused"},
    {"broker.messages_received", "1", "none", METRIC_SECONDARY, "PUBLISH packets that it received"},
    {"broker.messages_sent", "1", "none", METRIC_SECONDARY, "PUBLISH packets that it sent"},
    {"broker.messages_dropped", "1", "none", METRIC_SECONDARY,
     "messages that full queues or a lack of memory dropped"},
    {0},
};
