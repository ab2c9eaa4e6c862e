// SPDX-License-Identifier: Apache-2.0
// The bounds of the broker's memory that follow from its options, printed at start.
//
//     struct bounds bounds = bounds_of(&config, descriptors);
//     bounds_print(&bounds, stderr);
#ifndef POOLMARK_BROKER_BOUNDS_H
#define POOLMARK_BROKER_BOUNDS_H

#include "broker/config.h"

#include <stdio.h>

// In bytes, if not said otherwise. BOUNDS_ANY: the options set no bound.
#define BOUNDS_ANY INT64_MAX
struct bounds {
    int64_t client;      // objects and buffers, one packet, what waits and what is in flight
    int64_t clients;     // their number: --max-connections, or as many as there are descriptors
    int64_t all_clients; // of `clients` times `client`
    int64_t retained;    // retained messages
    int64_t limit;       // --memory-limit: all that is held for clients, these and subscriptions and sessions
    int64_t own;         // the program, its threads and their mailboxes
    int64_t whole;       // `limit` and `own`: the bound of the process
};

// `descriptors`: how many are left for clients.
struct bounds bounds_of(const struct broker_config *config, int64_t descriptors);
void bounds_print(const struct bounds *bounds, FILE *to);

#endif
