// SPDX-License-Identifier: Apache-2.0
// A mix as the record and --describe have it: with every rate and number as they will be.
#include "loadgen/identity_options.h"
#include "loadgen/scenarios/mix_plan.h"

#include <string.h>

static bool names_file(const char *word)
{
    static const char *const files[] = {"--users", "--payload-file", "--payload-template"};
    for (size_t i = 0; word && i < sizeof files / sizeof files[0]; i++)
        if (strcmp(word, files[i]) == 0)
            return true;
    return false;
}

// The plain form, in which files have only the last part of their paths: a record says nothing of folders.
static json_t *plain_form(const struct mix *mix)
{
    json_t *plain = json_deep_copy(mix->json), *group, *word;
    size_t i, at;
    json_array_foreach(json_object_get(plain, "groups"), i, group)
    {
        json_t *words = json_object_get(group, "options");
        json_array_foreach(words, at, word)
        {
            const char *before = at > 0 ? json_string_value(json_array_get(words, at - 1)) : NULL;
            const char *slash = strrchr(json_string_value(word), '/');
            if (names_file(before) && slash)
                json_array_set_new(words, at, json_string(slash + 1));
        }
    }
    return plain;
}

static json_t *describe_group(const struct mix *mix, int number)
{
    const struct mix_group *group = &mix->groups[number];
    const struct config *config = group->config;
    json_t *json =
        json_pack("{s:s,s:s,s:I,s:I,s:I,s:b,s:o}", "name", mix->crews[number].name, "role",
                  mix_roles[group->role], "connections", (json_int_t)config->connections, "qos",
                  (json_int_t)config->qos, "keep_alive_s", (json_int_t)config->keep_alive_s, "clean_session",
                  !config->keep_sessions, "identity", identity_json(&config->identity));
    if (group->source >= 0)
        json_object_set_new(json, "from", json_string(mix->crews[group->source].name));
    if (group->role == ROLE_PUBLISHER) {
        json_object_set_new(json, "pattern", json_string(pattern_name(&config->pattern)));
        json_object_set_new(json, "topics", json_integer(config->pattern.topics));
        json_object_set_new(json, "subscribers", json_integer(config->pattern.subscribers));
    }
    if (config->payload.given) {
        json_object_set_new(json, "payload_bytes", json_integer(payload_form_guess(&config->payload)));
        json_object_set_new(json, "retain", json_boolean(mix_own_of(group)->retain));
    }
    return json;
}

static json_t *describe_act(const struct mix *mix, const struct mix_act *act)
{
    const struct mix_act_values *values = &act->values;
    json_t *json = json_pack("{s:s,s:s,s:f,s:I,s:I}", "group", mix->crews[act->group].name, "do",
                             mix_acts[act->what], "rate_per_s", act->rate_per_s, "before",
                             (json_int_t)act->before, "goal", (json_int_t)act->goal);
    if (act->what == DO_CHURN || act->what == DO_STORM || act->what == DO_LEAVE)
        json_object_set_new(json, "by", json_string(values->by));
    if (act->rate_per_s > 0)
        pace_describe(json, &values->pace);
    if (act->what == DO_CHURN || act->what == DO_STORM) {
        json_object_set_new(json, "away_ns", json_integer(values->away_ns));
        comeback_describe(json, &values->comeback);
    }
    if (act->what == DO_PUBLISH && !(act->rate_per_s > 0))
        json_object_set_new(json, "in_flight", json_integer(values->in_flight));
    if (act->what == DO_PUBLISH)
        json_object_set_new(json, "drain_ns", json_integer(values->drain_ns));
    if (act->what == DO_SUBSCRIBE || act->what == DO_UNSUBSCRIBE) {
        json_object_set_new(json, "filters", json_integer(values->filters));
        json_object_set_new(json, "wildcards", json_real(values->wildcards));
    }
    if (act->what == DO_SLOW) {
        json_object_set_new(json, "read_bytes_per_s", json_integer(values->read_per_s));
        json_object_set_new(json, "for_ns", json_integer(values->for_ns));
    }
    return json;
}

json_t *mix_plan_describe(const struct mix *mix)
{
    json_t *groups = json_array(), *phases = json_array();
    for (int i = 0; i < mix->group_count; i++)
        json_array_append_new(groups, describe_group(mix, i));
    for (int i = 0; i < mix->phase_count; i++) {
        const struct mix_phase *phase = &mix->phases[i];
        json_t *acts = json_array();
        for (int act = 0; act < phase->act_count; act++)
            json_array_append_new(acts, describe_act(mix, &phase->acts[act]));
        json_array_append_new(phases, json_pack("{s:s,s:I,s:I,s:o}", "name", phase->name, "duration_ns",
                                                (json_int_t)phase->keys.duration_ns, "settle_ns",
                                                (json_int_t)phase->keys.settle_ns, "acts", acts));
    }
    return json_pack("{s:s,s:o,s:o,s:o}", "title", mix->title, "groups", groups, "phases", phases, "mix",
                     plain_form(mix));
}
