// SPDX-License-Identifier: Apache-2.0
// Rows of options that several scenarios have. Each gives its own place, and its own help where that differs.
#ifndef POOLMARK_LOADGEN_SCENARIOS_OPTIONS_H
#define POOLMARK_LOADGEN_SCENARIOS_OPTIONS_H

#include "base/opts.h"

#define OPTION_FAR 1e18

#define OPTION_CONNECTIONS(at, text)                                                                         \
    {                                                                                                        \
        "connections", "N", OPT_COUNT, at, "0", 0, 100e6, NULL, text, NULL                                   \
    }
#define OPTION_HOLD(at)                                                                                      \
    {                                                                                                        \
        "hold", "D", OPT_DURATION, at, "0", 0, OPTION_FAR, NULL, "how long to hold the connections", NULL    \
    }
#define OPTION_SUBSCRIBE(at)                                                                                 \
    {                                                                                                        \
        "subscribe", NULL, OPT_FLAG, at, NULL, 0, 0, NULL, "each client subscribes to a topic of its own",   \
            NULL                                                                                             \
    }
#define OPTION_SETTLE(at)                                                                                    \
    {                                                                                                        \
        "settle", "D", OPT_DURATION, at, "10s", 0, OPTION_FAR, NULL,                                         \
            "wait at most so long for the target's memory to be level", NULL                                 \
    }
#define OPTION_DURATION(at, text)                                                                            \
    {                                                                                                        \
        "duration", "D", OPT_DURATION, at, "10s", 1e6, OPTION_FAR, NULL, text, NULL                          \
    }
#define OPTION_SPREAD_PAIRS(at)                                                                              \
    {                                                                                                        \
        "spread-pairs", NULL, OPT_FLAG, at, NULL, 0, 0, NULL,                                                \
            "with several targets: publisher and subscriber of a pair on different ones, which must be one " \
            "cluster; otherwise a pair stays on one",                                                        \
            NULL                                                                                             \
    }

#endif
