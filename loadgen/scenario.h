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
//                                            .options_bytes = sizeof(struct drip), .play = play};
//
// A client connects once by FLEET_CONNECT. Clients leave and come back by FLEET_ARRIVE, whose schedule, latency and
// counts are its own (scenarios/arrivals.h), or come back by themselves (scenarios/comeback.h). A run has at most FLEET_ORDERS_MAX orders (fleet.h): bound what
// repeats.
#ifndef POOLMARK_LOADGEN_SCENARIO_H
#define POOLMARK_LOADGEN_SCENARIO_H

#include "loadgen/run.h"
#include "loadgen/summary.h"

struct scenario {
    const char *name;
    const char *summary; // one line

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
    // Adds the scenario's options to the record's `config`.
    void (*describe)(const struct config *config, json_t *json);
    // For --describe: the keys of a file that an option names. A new reference. NULL: there is no such file.
    json_t *(*describe_keys)(void);

    // Runs to its end or until the run is broken, and adds the results to `summary`.
    void (*play)(struct run *run, struct summary *summary);
};

#endif
