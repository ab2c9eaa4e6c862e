// SPDX-License-Identifier: Apache-2.0
// The scenario contract: a scenario is a sequence of calls of run.h. It is one file in scenarios/ and one
// line in scenarios/scenarios.c.
//
//     struct drip { int64_t connections, pause_ns; };
//     #define AT(field) offsetof(struct drip, field)
//     static const struct opt options[] = {
//         OPTION_CONNECTIONS(AT(connections), "clients"),                    // scenarios/options.h
//         {"pause", "D", OPT_DURATION, AT(pause_ns), "1s", 0, OPTION_FAR, NULL, "between two tenths", NULL},
//         {0},
//     };
//     const struct scenario scenario_drip = {.name = "drip", ..., .options = options,
//                                            .options_bytes = sizeof(struct drip),
//                                            .measures = SCENARIO_MEASURES "connect.*", .play = play};
//
// A client connects once by FLEET_CONNECT. Clients leave and come back by FLEET_ARRIVE, whose schedule, latency and
// counts are its own (scenarios/arrivals.h), or come back by themselves (scenarios/comeback.h). A run has at most
// FLEET_ORDERS_MAX orders (fleet.h): bound what repeats.
#ifndef POOLMARK_LOADGEN_SCENARIO_H
#define POOLMARK_LOADGEN_SCENARIO_H

#include "loadgen/load_kind.h"
#include "loadgen/run.h"
#include "loadgen/summary.h"

// What each scenario measures: its clients connect, and the generator, the host and the target's memory are watched.
#define SCENARIO_MEASURES                                                                                    \
    "clients.* connect.p* connect.max connect.mean connect.count connect.censored connect_uncorrected.* "    \
    "memory.start_* memory.full_* generator.* schedule.* network.* cpu.throttled_ns cpu.idle_share "
// Of those that connect by order_add_connect_rate.
#define SCENARIO_MEASURES_CONNECTS SCENARIO_MEASURES "connect.* "
#define SCENARIO_MEASURES_SLOPES "memory.per_connection_* kernel.* cpu.per_connection_ns "
#define SCENARIO_MEASURES_ARRIVALS SCENARIO_MEASURES_CONNECTS "arrival* memory.peak_bytes memory.after_bytes "
// Of those whose clients come back by themselves, with --backoff.
#define SCENARIO_MEASURES_RETURNS "connect.retries arrival* "
// Of those that prove, with --prove; they are among SCENARIO_MEASURES.
#define SCENARIO_MEASURES_ALIVE "clients.alive "
#define SCENARIO_MEASURES_MESSAGES "delivery.* delivery_uncorrected.* ack.* ack_uncorrected.* messages.* "

struct scenario {
    const char *name;
    const char *summary; // one line

    // The rows of the catalogue that its runs, or what reads their files, may have (metric_is_among). A run with another
    // fails when its record is closed; a suite's file that asks for another is refused (--describe).
    const char *measures;

    // `play` calls order_prove where --prove was given. Otherwise that option is refused.
    bool proves;

    // Options of every run that it does not take, up to NULL: none otherwise. They are refused, and `why_refused` is said
    // behind the option.
    const char *const *refuses;
    const char *why_refused;

    // Options beside those of every run. Their offsets are into the scenario's own struct of `options_bytes`,
    // stored in config->options. Options of one name in several scenarios are of one kind
    // (tests/test_command_line.c).
    const struct opt *options;
    size_t options_bytes;

    // Do the options fit together? Copies the values that a plan needs into config->connections and the
    // fields after it. Also called for a description, without a target. 0, or -EINVAL with the text in `err`.
    int (*check)(struct config *config, struct err *err);
    // Only before a run: do the files that the options name exist? NULL: there are none.
    int (*check_run)(const struct config *config, struct err *err);
    // Only before a run, after `check`: reads files that are not of the common options. -EINVAL with the text in `err`.
    // NULL: there are none.
    int (*prepare)(struct config *config, struct err *err);
    // Frees what `check` and `prepare` made, also after an error of theirs. NULL: nothing.
    void (*release)(struct config *config);
    // The acts that it is about: who limits their rate is the run's limit (limits.h). Of a mix each group's in each phase is.
    enum load_kind limit_of;

    // Adds the scenario's options to the record's `config`.
    void (*describe)(const struct config *config, json_t *json);
    // For --describe: the keys of a file that an option names. A new reference. NULL: there is no such file.
    json_t *(*describe_keys)(void);

    // Runs to its end or until the run is broken, and adds the results to `summary`.
    void (*play)(struct run *run, struct summary *summary);
};

#endif
