// SPDX-License-Identifier: Apache-2.0
// What the command line asks for, checked: bounds by the option table, and what fits together by
// config_check.
#ifndef POOLMARK_LOADGEN_CONFIG_H
#define POOLMARK_LOADGEN_CONFIG_H

#include "base/err.h"
#include "base/opts.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_STEPS_MAX = 64 };

struct config_steps {
    int64_t goals[CONFIG_STEPS_MAX]; // rising
    int count;
};

struct config {
    const char *scenario; // "connect", "publish", "steps"
    const char *engine_name;
    struct opt_list targets, sources, watch, watch_records;
    int64_t connections; // 0: as the scenario has it
    double connect_rate_per_s;
    int64_t hold_ns;
    int64_t pairs;
    double publish_rate_per_s;
    int64_t qos, payload_bytes;
    int64_t duration_ns, warmup_ns;
    bool subscribe, prove, quiet, self_latency, spread_pairs;
    struct config_steps steps;
    int64_t settle_ns, probes;
    int64_t workers, clients_per_worker, tokens, window;
    int64_t keep_alive_s, timeout_ns, seed;
    const char *record_dir;

    int64_t watch_pids[OPT_LIST_MAX]; // of `watch`
    const char *prefix_asked;
    // Of client identifiers and topics: --prefix, or "pm" and 64 random bits in base 62.
    char prefix[16];
};

// An opts_result, or -EINVAL with the text in `err`.
int config_parse(struct config *config, int argc, char **argv, struct err *err)
    __attribute__((warn_unused_result));
// With a scenario in argv, only the options that it uses.
void config_print_help(int argc, char **argv, FILE *to);
// --describe: options, scenarios with the options they use, engines with their limits and costs, metrics.
json_t *config_describe(void);
json_t *config_json(const struct config *config); // for the record

#endif
