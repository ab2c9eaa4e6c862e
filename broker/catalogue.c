// SPDX-License-Identifier: Apache-2.0
#include "broker/catalogue.h"

#include "broker/bytes.h"

const struct metric broker_catalogue[] = {
    {"pool.hit_rate", "%", "higher", METRIC_SECONDARY,
     "gets served from memory the pool already had, divided by gets; all pools, the whole run of the broker"},
    {"pool.expansions", "1", "none", METRIC_SECONDARY, "expansions of all pools"},
    {"pool.longest_expansion_ns", "ns", "lower", METRIC_TAIL, "the longest of them"},
    {"pool.overflow", "1", "none", METRIC_SECONDARY, "gets past max of all pools, served by the heap"},
    {"pool.refused", "1", "none", METRIC_SECONDARY, "gets past max of all pools, refused"},
    {"pool.pressure_back_bytes", "B", "none", METRIC_SECONDARY,
     "bytes that pools gave back under memory pressure (--pressure)"},
    {"pool.pressure_trims", "1", "none", METRIC_SECONDARY, "times that a pool did"},
    {"pool.pressure_longest_ns", "ns", "lower", METRIC_TAIL,
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
    {"broker.longest_turn_ns", "ns", "lower", METRIC_TAIL,
     "longest turn of an event loop, in processor time of its thread: others on that loop waited so long; at "
     "most a millisecond too much; shorter than a tick of the kernel (1 to 10 ms) not every turn is timed; "
     "0: none was"},
    {"broker.long_turns", "1", "lower", METRIC_SECONDARY, "turns of more than 10 ms of that time"},
    {"broker.turn_work", "1", "none", METRIC_SECONDARY,
     "most work of a turn, in units of about 0.2 us (broker/net/turn.h)"},
    {"broker.messages_received", "1", "none", METRIC_SECONDARY, "PUBLISH packets that it received"},
    {"broker.messages_sent", "1", "none", METRIC_SECONDARY, "PUBLISH packets that it sent"},
    {"broker.messages_dropped", "1", "none", METRIC_SECONDARY,
     "messages that full queues or a lack of memory dropped"},
#define X(NAME, name, help)                                                                                  \
    {"account." #name "_bytes", "B", "none", METRIC_SIGNED,                                                  \
     "user memory by account, all instances, at the first level of the most connections: " help},
    BYTES_ACCOUNTS(X)
#undef X
        {"account.pss_bytes", "B", "none", METRIC_SECONDARY,
         "the sum of the accounts: proportional set size of the broker's processes, with what is swapped "
         "out"},
    {"account.anonymous_bytes", "B", "none", METRIC_SECONDARY, "of that, anonymous memory"},
    {"account.huge_bytes", "B", "none", METRIC_SECONDARY, "of that, in huge pages"},
    {"account.connections", "1", "none", METRIC_SECONDARY, "connections at that time"},
#define MOMENT(name, words)                                                                                  \
    {"account." name ".free_bytes", "B", "none", METRIC_SIGNED, "free in the heap, " words},                 \
        {"account." name ".reserve_bytes", "B", "none", METRIC_SECONDARY,                                    \
         "objects that the pools own and nobody uses, " words},                                              \
        {"account." name ".rest_bytes", "B", "none", METRIC_SIGNED, "not accounted for, " words},            \
        {"account." name ".pss_bytes", "B", "none", METRIC_SECONDARY, "proportional set size, " words},      \
        {"account." name ".anonymous_bytes", "B", "none", METRIC_SECONDARY, "anonymous memory, " words},     \
        {"account." name ".huge_bytes", "B", "none", METRIC_SECONDARY, "memory in huge pages, " words},      \
    {                                                                                                        \
        "account." name ".connections", "1", "none", METRIC_SECONDARY, "connections, " words                 \
    }
    MOMENT("late", "at the last time that so many connections were open, to 1 %"),
    MOMENT("end", "at the end of the broker"),
#undef MOMENT
    {0},
};
