// SPDX-License-Identifier: Apache-2.0
// Rows of options that several scenarios have. Each gives its own place, and its own help where that differs.
#ifndef POOLMARK_LOADGEN_SCENARIOS_OPTIONS_H
#define POOLMARK_LOADGEN_SCENARIOS_OPTIONS_H

#include "base/opts.h"

#include <stdint.h>

extern const char *const option_leaves[]; // arrivals.c

#define OPTION_FAR 1e18
#define OPTION_REPEATS_MAX 100 // a run has at most FLEET_ORDERS_MAX orders

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
#define OPTION_LEAVE(at)                                                                                     \
    {                                                                                                        \
        "leave", "HOW", OPT_CHOICE, at, "disconnect", 0, 0, option_leaves,                                   \
            "how clients leave: disconnect (DISCONNECT), fin (the socket is closed), rst (the connection "   \
            "is "                                                                                            \
            "reset), mix (the three in turn); all but the first take an engine that can cut",                \
            NULL                                                                                             \
    }
#define OPTION_KEEP_SESSIONS(at)                                                                             \
    {                                                                                                        \
        "keep-sessions", NULL, OPT_FLAG, at, NULL, 0, 0, NULL,                                               \
            "clients connect without the clean session flag: the target keeps the session of a client that " \
            "is away",                                                                                       \
            NULL                                                                                             \
    }
#define OPTION_DURATION(at, text)                                                                            \
    {                                                                                                        \
        "duration", "D", OPT_DURATION, at, "10s", 1e6, OPTION_FAR, NULL, text, NULL                          \
    }
#define OPTION_WATCH_RECORD(at, text)                                                                        \
    {                                                                                                        \
        "watch-record", "DIR", OPT_LIST, at, NULL, 0, 0, NULL,                                               \
            "a --record folder of the reference broker: " text "; several times", NULL                       \
    }
#define OPTION_FRESH_TARGET(at)                                                                              \
    {                                                                                                        \
        "fresh-target", NULL, OPT_FLAG, at, NULL, 0, 0, NULL,                                                \
            "the target was started for this run and has served nobody: memory that it keeps is none of "    \
            "connections before",                                                                            \
            NULL                                                                                             \
    }
#define OPTION_REPEAT(at, text)                                                                              \
    {                                                                                                        \
        "repeat", "N", OPT_COUNT, at, "2", 1, OPTION_REPEATS_MAX, NULL, text, NULL                           \
    }
#define OPTION_DRAIN(at, text)                                                                               \
    {                                                                                                        \
        "drain", "D", OPT_DURATION, at, "5s", 1e8, OPTION_FAR, NULL, text, NULL                              \
    }
#define OPTION_SPREAD_PAIRS(at)                                                                              \
    {                                                                                                        \
        "spread-pairs", NULL, OPT_FLAG, at, NULL, 0, 0, NULL,                                                \
            "with several targets: publisher and subscriber of a pair on different ones, which must be one " \
            "cluster; otherwise a pair stays on one",                                                        \
            NULL                                                                                             \
    }

#endif
