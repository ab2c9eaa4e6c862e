// SPDX-License-Identifier: Apache-2.0
// The keys of a mix: of its groups, of its phases, and of what a group does in a phase. Each is a row as of an option
// (base/opts.h), with the roles or acts that it is for. Parsing, checks, --describe and the documents' tables are made
// from these rows. Constant data; any thread.
//
//     struct mix_keys keys;
//     mix_keys_of_act(&keys);
//     mix_keys_parse(&keys, &act, words, &given, &err);       // ["--do", "publish", "--rate", "100"]
//     mix_keys_has(&keys, given, "rate")                      // true
#ifndef POOLMARK_LOADGEN_SCENARIOS_MIX_KEYS_H
#define POOLMARK_LOADGEN_SCENARIOS_MIX_KEYS_H

#include "base/opts.h"
#include "loadgen/payload_sizes.h"
#include "loadgen/pattern.h"
#include "loadgen/scenarios/comeback.h"
#include "loadgen/scenarios/options.h"
#include "loadgen/scenarios/pace.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum mix_role { ROLE_PUBLISHER, ROLE_SUBSCRIBER, ROLE_PAIRS, ROLE_IDLE, ROLE_SLOW_READER, ROLE_COUNT };
enum mix_do {
    DO_CONNECT,
    DO_PUBLISH,
    DO_CHURN,
    DO_STORM,
    DO_SUBSCRIBE,
    DO_UNSUBSCRIBE,
    DO_SLOW,
    DO_LEAVE,
    DO_COUNT
};
extern const char *const mix_roles[]; // names, and NULL
extern const char *const mix_acts[];

struct mix_own { // of a group; stored in the options of its config
    const char *role_name, *from;
    int64_t connections;
    struct pattern pattern;
    struct payload_sizes sizes;
    const char *file, *template;
    bool retain, subscribe;
};

struct mix_phase_keys {
    int64_t duration_ns, settle_ns;
};

struct mix_act_values {
    const char *do_name, *by;
    struct pace pace;
    double rate_per_s, wildcards;
    int64_t every_ns, to, away_ns, in_flight, drain_ns, filters, read_per_s, for_ns;
    struct comeback comeback;
};

enum { MIX_KEYS_MAX = 40 };

struct mix_keys {
    struct opt rows[MIX_KEYS_MAX + 1];
    unsigned of[MIX_KEYS_MAX]; // bits of enum mix_role, or of enum mix_do
    int count;
};
void mix_keys_of_group(
    struct mix_keys *keys); // they fill a struct config, with a struct mix_own in its options
void mix_keys_of_phase(struct mix_keys *keys); // a struct mix_phase_keys
void mix_keys_of_act(struct mix_keys *keys);   // a struct mix_act_values

// Reads `words`, a JSON array of texts as on a command line. `given` gets a bit for each row that is there. -EINVAL with
// the text in `err`, which names the key as an option.
int mix_keys_parse(const struct mix_keys *keys, void *place, const json_t *words, uint64_t *given,
                   struct err *err) __attribute__((warn_unused_result));
bool mix_keys_has(const struct mix_keys *keys, uint64_t given, const char *name);

// Is each key that was given for `who` (a role, or an act)? -EINVAL names the first that is not, and what it is for.
int mix_keys_check(const struct mix_keys *keys, uint64_t given, int who, const char *const *names,
                   struct err *err) __attribute__((warn_unused_result));

// {"group": [...], "phase": [...], "act": [...]}: rows as --describe has options, with "of": names. A new reference.
json_t *mix_keys_describe(void);

#endif
