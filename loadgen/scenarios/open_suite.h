// SPDX-License-Identifier: Apache-2.0
// The scenarios of the Open MQTT Benchmark Suite (github.com/emqx/mqttbs) by name, as a scenario and options of ours.
// docs/open-mqtt-benchmark.md says in what they differ.
//
//     struct open_suite open;
//     open_suite_find(&open, "p2p-50K-50K-50K-50K", 0.01, &err);
//     open.words      // publish --pairs 500 --publish-rate 500 --qos 1 ...
#ifndef POOLMARK_LOADGEN_SCENARIOS_OPEN_SUITE_H
#define POOLMARK_LOADGEN_SCENARIOS_OPEN_SUITE_H

#include "base/err.h"

#define OPEN_SUITE_NAMES                                                                                     \
    "conn-tcp-1M-5K, fanout-5-1000-5-250K, p2p-50K-50K-50K-50K, fanin-50K-500-50K-50K, conn-tcp-10K-100, "   \
    "fanout-1-1K-1-1K, p2p-1K-1K-1K-1K, fanin-1K-5-1K-1K"

enum { OPEN_WORDS_MAX = 24, OPEN_WORD_BYTES = 32 };

struct open_suite {
    char words[OPEN_WORDS_MAX][OPEN_WORD_BYTES]; // the scenario, then its options
    int count;
    char says[600]; // what the scaled scenario is, and in what it differs from the suite's
};

// `scale`: above 0, at most 1. Clients and rates are that share of the suite's, at least 1. -EINVAL with the text in
// `err`: there is no such scenario.
int open_suite_find(struct open_suite *open, const char *name, double scale, struct err *err)
    __attribute__((warn_unused_result));

#endif
