// SPDX-License-Identifier: Apache-2.0
// The scenario contract: what a run does, as a sequence of the run's steps (run.h). A scenario is one file in
// scenarios/ and one line in scenarios/scenarios.c.
//
//     struct churn { int64_t connections, cycles; };
//     #define AT(field) offsetof(struct churn, field)
//     static const struct opt options[] = {
//         OPTION_CONNECTIONS(AT(connections), "100", "clients"),                      // scenarios/options.h
//         {"cycles", "N", OPT_COUNT, AT(cycles), "10", 1, 1e6, NULL, "how often each client comes", NULL},
//         {0},
//     };
//     const struct scenario scenario_churn = {.name = "churn", ..., .options = options,
//                                             .options_bytes = sizeof(struct churn), .play = play};
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
