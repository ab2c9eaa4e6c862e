// SPDX-License-Identifier: Apache-2.0
// The checked configuration of a run. command_line.h fills it in; the rest of the generator only reads it.
//
// A scenario's own options are a struct that its file defines, stored in `options`. The scenario's `check`
// copies the values that a plan needs (clients, pattern, probes) into the fields here.
#ifndef POOLMARK_LOADGEN_CONFIG_H
#define POOLMARK_LOADGEN_CONFIG_H

#include "base/address.h"
#include "base/opts.h"
#include "loadgen/backoff.h"
#include "loadgen/division.h"
#include "loadgen/identity.h"
#include "loadgen/pattern.h"
#include "loadgen/payload_form.h"
#include "loadgen/ports.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew_request;
struct engine;
struct ranks;
struct scenario;

enum { CONFIG_OPTIONS_BYTES = 16384 }; // of one scenario, at most
enum { OPEN_SAYS_BYTES = 600 };

struct config {
    const struct scenario *scenario; // NULL only for a description without one
    const struct engine *engine;
    struct opt_list targets, sources, watch;
    double connect_rate_per_s; // 0: as fast as possible
    int64_t qos;
    bool prove, quiet, self_latency, all, hgrm, json;
    enum ports_way ports;
    int64_t workers, clients_per_worker, tokens, window;
    int64_t keep_alive_s, timeout_ns, seed;
    const char *record_dir, *metrics;
    struct address metrics_address; // of `metrics`
    struct identity identity;
    const char *beside; // what else loads the target on purpose; NULL: nothing
    const char *open;   // a scenario of the Open MQTT Benchmark Suite; NULL: none
    double scale;
    char open_says[OPEN_SAYS_BYTES]; // what that is, scaled

    // By the scenario's `check`:
    int64_t connections;    // clients; not the probes
    int64_t split;          // the clients from this one on have workers of their own; 0: none have
    int64_t later;          // the last of these: they come by arrivals alone, not by FLEET_CONNECT
    struct pattern pattern; // among the clients: who publishes to whom
    int64_t probes;         // further clients, which measure delivery
    bool even;              // a worker's share of clients is whole pairs
    bool spread_pairs;      // publisher and subscriber on different targets
    bool keep_sessions;     // clients connect without the clean session flag
    struct backoff
        backoff;        // of clients that come back by themselves (worker_return.c); first_ns 0: none does
    bool waits_first;   // before the first try too
    int64_t give_up_ns; // how long one of them tries
    bool arrival_times; // arrivals.csv is wanted
    struct payload_form payload; // of messages; not `given`: the orders say their size
    // Clients in groups, each with a configuration of its own (crew.h), in place of one; 0: there are none.
    const struct crew_request *crews;
    int crew_count;

    int rank_count;           // of the run; 1: it is alone
    const char *program;      // what messages to people begin with; NULL: this is no program
    enum division_way share;  // how they divide the clients
    bool only_watch;          // this rank has none of them
    struct ranks *ranks;      // of several hosts (ranks.h); NULL: this one is alone
    const char *ranks_folder; // of a rank above 0: where its own part is; NULL: nowhere

    int64_t watch_pids[OPT_LIST_MAX]; // of `watch`
    const char *prefix_asked;
    // The beginning of client identifiers and topics: --prefix, or "pm" and 64 random bits in base 62.
    char prefix[16];

    alignas(max_align_t) unsigned char options[CONFIG_OPTIONS_BYTES];
};

#endif
