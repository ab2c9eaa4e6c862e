// SPDX-License-Identifier: Apache-2.0
// What the scenarios have in common in which clients leave and come back: checks, the order, and the metrics.
#ifndef POOLMARK_LOADGEN_SCENARIOS_ARRIVALS_H
#define POOLMARK_LOADGEN_SCENARIOS_ARRIVALS_H

#include "loadgen/scenario.h"
#include "loadgen/scenarios/comeback.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/pace.h"

struct arrivals {               // of all orders together
    double rate_asked_per_s;    // 0: none
    double asked_acts;          // where that rate changes: by it so many were due,
    int64_t asked_ns;           // in so long
    int64_t took_ns;            // from the first intended time to the last CONNACK
    int64_t due_ns;             // what the schedule gives them for it
    bool waits;                 // clients wait before their first try, too
    struct fleet_order *beside; // given to the probes at the same time; NULL: none
};

// The options of clients that are held and take turns at leaving and coming back.
struct turns {
    int64_t away_ns;
    double rate_per_s;
    const char *leave;
    struct pace pace;
    struct comeback comeback;
    bool subscribe, keep_sessions;
};

#define OPTIONS_TURNS(at)                                                                                    \
    {"churn-rate",                                                                                           \
     "N/s",                                                                                                  \
     OPT_RATE,                                                                                               \
     (at) + offsetof(struct turns, rate_per_s),                                                              \
     "100",                                                                                                  \
     0.001,                                                                                                  \
     1e9,                                                                                                    \
     NULL,                                                                                                   \
     "clients that leave and come back a second, all together, open loop",                                   \
     NULL},                                                                                                  \
        OPTIONS_PACE((at) + offsetof(struct turns, pace)),                                                   \
        {"away",                                                                                             \
         "D",                                                                                                \
         OPT_DURATION,                                                                                       \
         (at) + offsetof(struct turns, away_ns),                                                             \
         "0",                                                                                                \
         0,                                                                                                  \
         OPTION_FAR,                                                                                         \
         NULL,                                                                                               \
         "how long a client stays away before it comes back",                                                \
         NULL},                                                                                              \
        OPTION_LEAVE((at) + offsetof(struct turns, leave)),                                                  \
        OPTION_KEEP_SESSIONS((at) + offsetof(struct turns, keep_sessions)),                                  \
        OPTIONS_BACKOFF((at) + offsetof(struct turns, comeback)),                                            \
        OPTION_SUBSCRIBE((at) + offsetof(struct turns, subscribe))

// Behind the number of these arrivals.
#define ARRIVALS_SESSION_LOST                                                                                \
    "the client had left a session that was to be kept, and the target had none when it came back. It has "  \
    "lost it, or its time was over (an expiration); the client has subscribed again"

enum leave arrivals_leave(const char *choice); // a value of --leave

// Can the engine leave that way, and do the waits fit together? -EINVAL with the text.
int arrivals_check(const struct config *config, const char *leave, const struct comeback *comeback,
                   struct err *err);
void arrivals_describe(json_t *json, const char *leave, const struct comeback *comeback);
void arrivals_set_backoff(struct fleet_order *order, const struct comeback *comeback);

// Do the options fit together, for config->connections clients that take turns for `duration_ns`? Copies what the plan
// needs, and sets what of the schedule was left open. -EINVAL with the text.
int arrivals_check_turns(struct config *config, struct turns *turns, int64_t duration_ns, struct err *err);
void arrivals_describe_turns(json_t *json, const struct turns *turns);
// The order in which all clients take turns for `duration_ns`.
struct fleet_order arrivals_turns(const struct config *config, const struct turns *turns,
                                  int64_t duration_ns);

// Gives an order of FLEET_ARRIVE and waits for its end. Adds its time to `arrivals`.
bool arrivals_order(struct run *run, struct fleet_order *order, struct arrivals *arrivals);

// A whole run of clients that are held, and then leave and come back as `act` orders: connects them, reads memory
// before, between and after, and adds all metrics. `settle_ns` counts when a target is watched.
void arrivals_play(struct run *run, struct summary *summary, bool subscribe, int64_t settle_ns,
                   bool (*act)(struct run *run, struct arrivals *arrivals));

// Adds arrivals.* of clients that came back by themselves, and connect.retries, when they do; after run_disconnect, which ends what
// is under way.
void arrivals_add_returns(struct run *run, struct summary *summary);
// Adds arrivals.*, and their anomalies.
void arrivals_add(struct run *run, struct summary *summary, const struct arrivals *arrivals);
// Adds memory.* before the first connection (`start`), before the arrivals (`full`), at the peak and `after` them,
// and cpu.per_arrival_ns by the rule of costs.h.
void arrivals_add_memory(struct run *run, struct summary *summary, const struct sample *start,
                         const struct sample *full, const struct sample *after);

#endif
