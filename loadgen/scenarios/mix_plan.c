// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/mix_plan.h"

#include "loadgen/engine.h"
#include "loadgen/identity_options.h"
#include "loadgen/scenarios/arrivals.h"
#include "loadgen/scenarios/mix_file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 16 << 20 };

static bool reads_from(const struct mix *mix, int group, int publishers)
{
    return mix_reads(&mix->groups[group]) && mix->groups[group].source == publishers;
}

// --- groups ------------------------------------------------------------------------------------------------

static int check_sender(struct mix_group *group, struct err *err)
{
    const struct mix_own *own = mix_own_of(group);
    int code = payload_form_choose(&group->config->payload, &own->sizes, own->file, own->template, err);
    if (code < 0)
        return code;
    if (group->role == ROLE_PUBLISHER)
        return 0;
    if (own->connections % 2 != 0)
        return err_set(err, -EINVAL,
                       "--connections %lld: pairs are two clients each, so it is an even number",
                       (long long)own->connections);
    group->config->pattern = pattern_pairs(own->connections / 2);
    group->config->even = true;
    return 0;
}

static int find_source(struct mix *mix, struct mix_group *group, struct err *err)
{
    const char *from = mix_own_of(group)->from;
    if (!from)
        return err_set(err, -EINVAL, "--from is missing: whose messages does it get?");
    for (int i = 0; i < mix->group_count; i++)
        if (strcmp(mix->crews[i].name, from) == 0 && mix->groups[i].role == ROLE_PUBLISHER)
            group->source = i;
    return group->source >= 0
               ? 0
               : err_set(err, -EINVAL, "--from %.40s: there are no publishers of that name", from);
}

static int check_group(struct mix *mix, int number, const struct mix_keys *keys, struct err *err)
{
    struct mix_group *group = &mix->groups[number];
    const struct mix_own *own = mix_own_of(group);
    int code = 0;
    group->source = -1;
    group->once = -1;
    if (!own->role_name)
        return err_set(err, -EINVAL, "--role is missing: what is it?");
    for (int i = 0; mix_roles[i]; i++)
        if (strcmp(mix_roles[i], own->role_name) == 0)
            group->role = (enum mix_role)i;
    code = mix_keys_check(keys, group->given, (int)group->role, mix_roles, err);
    if (code == 0 && own->connections == 0)
        code = err_set(err, -EINVAL, "--connections is missing: how many clients has it?");
    if (code == 0 && (group->role == ROLE_PUBLISHER || group->role == ROLE_PAIRS))
        code = check_sender(group, err);
    group->config->connections = own->connections;
    return code;
}

// The publishers' clients come first in the pattern, then those of their subscribers, slow readers last.
static int number_readers(struct mix *mix, int publishers, const struct mix_keys *keys, struct err *err)
{
    struct mix_group *group = &mix->groups[publishers];
    struct pattern pattern = mix_own_of(group)->pattern;
    pattern.publishers = group->config->connections;
    for (int slow = 0; slow < 2; slow++)
        for (int i = 0; i < mix->group_count; i++) {
            struct mix_group *reader = &mix->groups[i];
            if (!reads_from(mix, i, publishers) || (reader->role == ROLE_SLOW_READER) != (slow == 1))
                continue;
            mix->crews[i].place = pattern_clients(&pattern);
            mix->crews[i].messages_of = publishers;
            pattern.subscribers += reader->config->connections;
            pattern.slow += slow * reader->config->connections;
            if (!mix_keys_has(keys, reader->given, "qos"))
                reader->config->qos = group->config->qos;
        }
    pattern.apart = pattern.subscribers;
    if (pattern.subscribers == 0)
        return err_set(err, -EINVAL,
                       "nobody gets its messages: a group of role subscriber with from = \"%s\"",
                       mix->crews[publishers].name);
    int64_t fewer = pattern.publishers < pattern.subscribers ? pattern.publishers : pattern.subscribers;
    if (fewer < pattern.topics)
        return err_set(err, -EINVAL, "--pattern: %lld topics, each needs a publisher and a subscriber",
                       (long long)pattern.topics);
    if (pattern_streams(&pattern) > STREAMS_MAX)
        return err_set(
            err, -EINVAL,
            "%lld publishers and %lld subscribers: %lld pairs of both share messages, %d is the most "
            "that are counted",
            (long long)pattern.publishers, (long long)pattern.subscribers,
            (long long)pattern_streams(&pattern), STREAMS_MAX);
    group->config->pattern = pattern;
    for (int i = 0; i < mix->group_count; i++)
        if (reads_from(mix, i, publishers))
            mix->groups[i].config->pattern = pattern;
    return 0;
}

// Two groups of one name pattern would end each other's connections [MQTT-3.1.4-2], or get each other's messages.
static int check_apart(const struct mix *mix, int number, struct err *err)
{
    const struct identity *own = &mix->groups[number].config->identity;
    for (int i = 0; i < number; i++) {
        const struct identity *other = &mix->groups[i].config->identity;
        const char *key = NULL;
        if (own->client_id_asked && other->client_id_asked && own->client_id_asked[0] &&
            strcmp(own->client_id_asked, other->client_id_asked) == 0 &&
            !name_pattern_has(&own->client_id, NAME_PREFIX))
            key = "client-id";
        if (own->topic_asked && other->topic_asked && strcmp(own->topic_asked, other->topic_asked) == 0 &&
            !name_pattern_has(&own->topic, NAME_PREFIX))
            key = "topic";
        if (key)
            return err_set(
                err, -EINVAL,
                "--%s: group %s has the same: clients of both would be in each other's way; %%p differs in "
                "each group",
                key, mix->crews[i].name);
    }
    return 0;
}

static int check_groups(struct mix *mix, bool spread_pairs, struct err *err)
{
    struct mix_keys keys;
    int code = 0, i;
    mix_keys_of_group(&keys);
    for (i = 0; i < mix->group_count && code == 0; i++) {
        mix->crews[i].messages_of = i;
        mix->groups[i].config->spread_pairs = spread_pairs;
        code = check_group(mix, i, &keys, err);
    }
    int failed = i - 1;
    for (i = 0; i < mix->group_count && code == 0; i++, failed = i - 1)
        code = mix_reads(&mix->groups[i]) ? find_source(mix, &mix->groups[i], err) : 0;
    for (i = 0; i < mix->group_count && code == 0; i++, failed = i - 1)
        code = mix->groups[i].role == ROLE_PUBLISHER ? number_readers(mix, i, &keys, err) : 0;
    for (i = 0; i < mix->group_count && code == 0; i++, failed = i - 1) {
        code = identity_check(mix->groups[i].config, err);
        code = code == 0 ? check_apart(mix, i, err) : code;
    }
    return code < 0 ? err_prefix(err, code, "group %s", mix->crews[failed].name) : 0;
}

// --- phases ------------------------------------------------------------------------------------------------

static int check_ways(const struct mix *mix, const struct mix_act *act, struct err *err)
{
    const struct mix_act_values *values = &act->values;
    const struct config *config = mix->groups[act->group].config;
    enum leave leave = arrivals_leave(values->by);
    if (leave != LEAVE_DISCONNECT && !(config->engine->caps & ENGINE_CAP_CUT))
        return err_set(err, -EINVAL,
                       "--by %s: engine %s can only send a DISCONNECT; --engine raw can cut connections",
                       values->by, config->engine->name);
    if (leave == LEAVE_MIX && act->what == DO_LEAVE)
        return err_set(err, -EINVAL, "--by mix: clients that leave together leave in one way");
    return arrivals_check(config, option_leaves[LEAVE_DISCONNECT], &values->comeback, err);
}

// The rate at which each of the actors acts once in `every_ns`. Where no double is that rate, the one below it: with the one
// above, a first act of the next round would be due a nanosecond before this round is over.
static double rate_of(int64_t actors, int64_t every_ns)
{
    double rate = (double)actors * 1e9 / (double)every_ns;
    bool exact = (long double)rate * (long double)every_ns == (long double)actors * 1e9L;
    return exact ? rate : nextafter(rate, 0);
}

// A rate may be given by the time between two acts of one client.
static int set_rate(struct mix_act *act, int64_t actors, struct err *err)
{
    const struct mix_act_values *values = &act->values;
    if (values->rate_per_s > 0 && values->every_ns > 0)
        return err_set(err, -EINVAL, "--rate and --every: both say how often; give one of them");
    act->rate_per_s = values->every_ns > 0 ? rate_of(actors, values->every_ns) : values->rate_per_s;
    return 0;
}

// How the rate goes over time: of so many acts, or of the whole phase.
static int check_pace(const struct mix_phase *phase, struct mix_act *act, int64_t acts, struct err *err)
{
    struct pace_length length = {.ns = acts > 0 ? 0 : phase->keys.duration_ns, .acts = acts};
    return pace_check(&act->values.pace, "rate", act->rate_per_s, &length, err);
}

static int check_comeback(const struct mix *mix, const struct mix_phase *phase, struct mix_act *act,
                          struct err *err)
{
    int64_t open = mix->groups[act->group].open;
    int code = check_ways(mix, act, err);
    if (code == 0 && open == 0)
        code = err_set(err, -EINVAL, "--do %s: none of its clients is connected then", act->values.do_name);
    if (code == 0 && act->what == DO_CHURN)
        code = set_rate(act, open, err);
    if (code < 0)
        return code;
    act->goal = open;
    if (act->what == DO_STORM)
        return 0;
    if (!(act->rate_per_s > 0))
        return err_set(err, -EINVAL, "--do churn takes --rate or --every");
    if (phase->keys.duration_ns == 0)
        return err_set(err, -EINVAL, "--do churn: the phase has no duration");
    code = check_pace(phase, act, 0, err);
    if (code < 0)
        return code;
    double most = fmax(act->rate_per_s, act->values.pace.from_per_s);
    double absent = most * (double)act->values.away_ns / 1e9; // clients, on average
    if (absent > (double)open)
        return err_set(err, -EINVAL, "--away: %.0f clients would be away at a time, and there are %lld",
                       absent, (long long)open);
    return 0;
}

static int check_connect(struct mix_group *group, const struct mix_phase *phase, struct mix_act *act,
                         struct err *err)
{
    act->goal = act->values.to;
    act->before = group->open;
    act->rate_per_s = act->values.rate_per_s;
    act->arrives = group->once >= 0;
    if (act->goal > group->config->connections)
        return err_set(err, -EINVAL, "--to %lld: it has %lld clients", (long long)act->goal,
                       (long long)group->config->connections);
    if (act->goal <= group->open)
        return err_set(err, -EINVAL,
                       "--do connect: %lld of its clients are connected already, of %lld wanted",
                       (long long)group->open, (long long)act->goal);
    if (group->once < 0)
        group->once = act->goal;
    group->open = act->goal;
    return check_pace(phase, act, act->goal - act->before, err);
}

static int check_leave(const struct mix *mix, struct mix_group *group, struct mix_act *act, struct err *err)
{
    act->before = act->values.to;
    act->goal = group->open;
    if (act->before >= group->open)
        return err_set(err, -EINVAL, "--do leave: %lld of its clients are connected, and %lld are to stay",
                       (long long)group->open, (long long)act->before);
    group->open = act->before;
    return check_ways(mix, act, err);
}

static int check_changes(const struct mix_group *group, const struct mix_phase *phase, struct mix_act *act,
                         struct err *err)
{
    act->goal = group->config->connections;
    act->rate_per_s = act->values.rate_per_s;
    if (!(act->rate_per_s > 0))
        return err_set(err, -EINVAL, "--do %s takes --rate", act->values.do_name);
    if (group->open < group->config->connections)
        return err_set(err, -EINVAL, "--do %s: only %lld of its %lld clients are connected then",
                       act->values.do_name, (long long)group->open, (long long)group->config->connections);
    return check_pace(phase, act, act->goal * act->values.filters, err);
}

static bool is_whole(const struct mix_group *group)
{
    return group->open == group->config->connections;
}

static int check_publish(const struct mix *mix, const struct mix_phase *phase, struct mix_act *act,
                         struct err *err)
{
    const struct mix_group *group = &mix->groups[act->group];
    if (group->role != ROLE_PUBLISHER && group->role != ROLE_PAIRS)
        return err_set(err, -EINVAL, "--do publish: its role is %s", mix_roles[group->role]);
    if (phase->keys.duration_ns == 0)
        return err_set(err, -EINVAL, "--do publish: the phase has no duration");
    act->goal = group->config->connections;
    int code = set_rate(act, group->config->pattern.publishers, err);
    code = code < 0 ? code : check_pace(phase, act, 0, err);
    if (code < 0)
        return code;
    for (int i = 0; i < mix->group_count; i++) {
        const struct mix_group *other = &mix->groups[i];
        bool reads = reads_from(mix, i, act->group);
        const struct mix_act *beside = reads ? mix_act_of(phase, i) : NULL;
        if ((reads || i == act->group) && !is_whole(other))
            return err_set(err, -EINVAL, "--do publish: of %s only %lld of %lld clients are connected then",
                           mix->crews[i].name, (long long)other->open, (long long)other->config->connections);
        if (beside && beside->what != DO_SLOW)
            return err_set(err, -EINVAL,
                           "--do publish: %s gets its messages, and cannot %s in the same phase",
                           mix->crews[i].name, beside->values.do_name);
        if (beside && !(act->rate_per_s > 0))
            return err_set(err, -EINVAL,
                           "--do publish without --rate or --every: a closed loop would wait for the slow "
                           "readers %s",
                           mix->crews[i].name);
    }
    return 0;
}

static int check_slow(const struct mix *mix, const struct mix_phase *phase, struct mix_act *act,
                      struct err *err)
{
    const struct mix_group *group = &mix->groups[act->group];
    if (group->role != ROLE_SLOW_READER)
        return err_set(err, -EINVAL, "--do slow: its role is %s, and not slow-reader",
                       mix_roles[group->role]);
    const struct mix_act *publish = mix_act_of(phase, group->source);
    if (!publish || publish->what != DO_PUBLISH)
        return err_set(err, -EINVAL, "--do slow: %s does not publish in this phase",
                       mix->crews[group->source].name);
    if (act->values.for_ns >= phase->keys.duration_ns && act->values.for_ns > 0)
        return err_set(err, -EINVAL, "--for is not shorter than the phase: leave it out");
    act->goal = group->config->connections;
    return 0;
}

static int check_act(struct mix *mix, const struct mix_phase *phase, struct mix_act *act, struct err *err)
{
    struct mix_group *group = &mix->groups[act->group];
    switch (act->what) {
    case DO_CONNECT:
        return check_connect(group, phase, act, err);
    case DO_LEAVE:
        return check_leave(mix, group, act, err);
    case DO_CHURN:
    case DO_STORM:
        return check_comeback(mix, phase, act, err);
    case DO_SUBSCRIBE:
    case DO_UNSUBSCRIBE:
        return check_changes(group, phase, act, err);
    case DO_PUBLISH:
        return check_publish(mix, phase, act, err);
    case DO_SLOW:
        return check_slow(mix, phase, act, err);
    case DO_COUNT:
        break;
    }
    return 0;
}

static int check_phases(struct mix *mix, struct err *err)
{
    if (mix->group_count * mix->phase_count > MIX_PARTS_MAX)
        return err_set(err, -EINVAL,
                       "%d groups in %d phases are too many: each group has figures of each phase, and %d of "
                       "these are the "
                       "most",
                       mix->group_count, mix->phase_count, MIX_PARTS_MAX);
    for (int i = 0; i < mix->phase_count; i++) {
        struct mix_phase *phase = &mix->phases[i];
        if (phase->act_count == 0 && phase->keys.duration_ns == 0)
            return err_set(err, -EINVAL, "phase %s: nobody does anything in it, and it has no duration",
                           phase->name);
        for (int a = 0; a < phase->act_count; a++) {
            int code = check_act(mix, phase, &phase->acts[a], err);
            if (code < 0)
                return err_prefix(err, code, "phase %s: group %s", phase->name,
                                  mix->crews[phase->acts[a].group].name);
        }
    }
    for (int i = 0; i < mix->group_count; i++) {
        struct mix_group *group = &mix->groups[i];
        if (group->once < 0)
            return err_set(err, -EINVAL, "group %s: it connects in no phase", mix->crews[i].name);
        group->config->later = group->config->connections - group->once;
    }
    return 0;
}

struct schedule_shape mix_act_shape(const struct mix *mix, const struct mix_phase *phase,
                                    const struct mix_act *act)
{
    int64_t seed = mix->groups[act->group].config->seed;
    return pace_shape(&act->values.pace, seed, (phase - mix->phases) * CREWS_MAX + act->group);
}

int mix_plan_open(struct mix **mix_out, const char *path, const struct config *base, bool spread_pairs,
                  struct err *err)
{
    struct mix *mix = calloc(1, sizeof *mix);
    if (!mix)
        return err_set(err, -ENOMEM, "out of memory for the mix");
    *mix_out = mix;
    int code = mix_file_read(mix, path, base, err);
    if (code == 0)
        code = check_groups(mix, spread_pairs, err);
    if (code == 0)
        code = check_phases(mix, err);
    return code < 0 ? err_prefix(err, code, "--mix %s", path) : 0;
}

int mix_plan_prepare(struct mix *mix, struct err *err)
{
    for (int i = 0; i < mix->group_count; i++) {
        struct config *config = mix->groups[i].config;
        int code = identity_prepare(config, err);
        if (code == 0)
            code = payload_form_prepare(&config->payload, config->seed, err);
        if (code < 0)
            return err_prefix(err, code, "group %s", mix->crews[i].name);
    }
    return 0;
}

void mix_plan_close(struct mix *mix)
{
    if (!mix)
        return;
    for (int i = 0; i < mix->group_count; i++) {
        identity_free(&mix->groups[i].config->identity);
        payload_form_free(&mix->groups[i].config->payload);
        free(mix->groups[i].config);
    }
    json_decref(mix->json);
    free(mix);
}
