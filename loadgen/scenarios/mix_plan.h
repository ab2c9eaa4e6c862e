// SPDX-License-Identifier: Apache-2.0
// A mix as it will be played: groups of clients, and phases in which each group does one thing or nothing. Read from
// the plain form that scripts/poolmark mix makes of a TOML file:
//
//     {"title": TEXT,
//      "groups": [{"name": NAME, "options": [WORD, ...]}, ...],
//      "phases": [{"name": NAME, "options": [WORD, ...], "acts": [{"group": NAME, "options": [WORD, ...]}, ...]}, ...]}
//
// The words are keys as options (mix_keys.h). A group that a phase does not name keeps its connections; its subscribers
// get what their publishers publish. Everything is checked here, before a run: keys, and what can be in which phase.
// One thread.
#ifndef POOLMARK_LOADGEN_SCENARIOS_MIX_PLAN_H
#define POOLMARK_LOADGEN_SCENARIOS_MIX_PLAN_H

#include "loadgen/crew.h"
#include "loadgen/scenarios/mix_keys.h"

#include <jansson.h>

enum {
    MIX_PHASES_MAX = 32,
    MIX_PARTS_MAX = 64, // groups times phases: each has figures of its own
};

struct mix_act {
    int group;
    enum mix_do what;
    struct mix_act_values values;
    double rate_per_s;    // of the group; 0: as fast as it goes
    int64_t before, goal; // the clients of the group that take part: before .. goal - 1
    bool arrives;         // connect: by arrivals, since clients of the group were connected before
};

struct mix_phase {
    char name[CREW_NAME_BYTES];
    struct mix_phase_keys keys;
    struct mix_act acts[CREWS_MAX];
    int act_count;
};

struct mix_group {
    enum mix_role role;
    int source; // the group of the publishers whose messages it gets; -1: it gets none, or those of its own pairs
    uint64_t given;
    struct config *config;
    int64_t open,
        once; // while the plan is checked: connected by now; by its first connect, -1: there was none
};

struct mix {
    json_t *json; // the keys' texts are in it
    const char *title;
    struct crew_request crews[CREWS_MAX];
    struct mix_group groups[CREWS_MAX];
    int group_count;
    struct mix_phase phases[MIX_PHASES_MAX];
    int phase_count;
};

// Reads and checks a mix for a run with `base`: its engine, seed, time-outs. -EINVAL with the text in `err`, which names
// the file, the group or phase, and the key. -ENOMEM. `*mix` is to be closed then too, if it is not NULL.
int mix_plan_open(struct mix **mix, const char *path, const struct config *base, bool spread_pairs,
                  struct err *err) __attribute__((warn_unused_result));
// Only before a run: reads the files that groups name.
int mix_plan_prepare(struct mix *mix, struct err *err) __attribute__((warn_unused_result));
void mix_plan_close(struct mix *mix); // NULL is allowed

static inline const struct mix_own *mix_own_of(const struct mix_group *group)
{
    return (const void *)group->config->options;
}

// A subscriber or a slow reader?
static inline bool mix_reads(const struct mix_group *group)
{
    return group->role == ROLE_SUBSCRIBER || group->role == ROLE_SLOW_READER;
}

// What the group does in the phase; NULL: nothing.
static inline const struct mix_act *mix_act_of(const struct mix_phase *phase, int group)
{
    for (int i = 0; i < phase->act_count; i++)
        if (phase->acts[i].group == group)
            return &phase->acts[i];
    return NULL;
}

// The schedule of an act of a phase.
struct schedule_shape mix_act_shape(const struct mix *mix, const struct mix_phase *phase,
                                    const struct mix_act *act);

// Groups and phases as they will be played, and `mix`, by which they can be played again (mix_describe.c). A new
// reference.
json_t *mix_plan_describe(const struct mix *mix);

#endif
