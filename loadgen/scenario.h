// SPDX-License-Identifier: Apache-2.0
// The scenario contract: what a run does, as a sequence of the run's steps (run.h). A scenario is one file in
// scenarios/ and one line in scenarios/scenarios.c.
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
// A client connects once. A scenario in which clients come back plans a client for each time, and connects them
// in groups (`before` and `goal` of an order). A run has at most FLEET_ORDERS_MAX orders (fleet.h): bound what
// repeats.
#ifndef POOLMARK_LOADGEN_SCENARIO_H
#define POOLMARK_LOADGEN_SCENARIO_H

#include "loadgen/run.h"
#include "loadgen/summary.h"

struct scenario {
    const char *name;
    const char *summary; // one line

    // Options beside those of every run; the offsets are into a struct of the scenario's own, of
    // `options_bytes`, which lies in config->options. Scenarios may have options of one name: these are alike
    // in kind (tests/test_command_line.c).
    const struct opt *options;
    size_t options_bytes;

    // Do the options fit together? Puts what a plan needs into config->connections and the fields after it.
    // Also for a description, without a target. 0, or -EINVAL with the text in `err`.
    int (*check)(struct config *config, struct err *err);
    // Of a call that is to run: is there what the options name? NULL: nothing to look for.
    int (*check_run)(const struct config *config, struct err *err);
    // Adds the scenario's options to the record's `config`.
    void (*describe)(const struct config *config, json_t *json);

    // Runs to its end or until the run is broken, adding to `summary` what was measured.
    void (*play)(struct run *run, struct summary *summary);
};

#endif
