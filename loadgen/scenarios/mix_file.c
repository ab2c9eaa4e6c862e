// SPDX-License-Identifier: Apache-2.0
// Reads a mix: its form, names and keys. What can be played is mix_plan.c's.
#include "loadgen/scenarios/mix_file.h"

#include "loadgen/catalogue.h"
#include "loadgen/whole_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 1 << 20 };

// A name stands between dots in the names of metrics.
static int check_name(const char *what, const char *name, struct err *err)
{
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes >= CREW_NAME_BYTES - 1 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != bytes)
        return err_set(err, -EINVAL, "%s \"%.40s\": a name is 1 to %d of a-z, 0-9, _ and -", what, name,
                       CREW_NAME_BYTES - 2);
    return 0;
}

// A metric of a group begins with its name, and must not look like one of the run.
static int check_group_name(const char *name, struct err *err)
{
    static const char *const others[] = {"broker", "cell", "duration", "name", "pool", "settle"};
    bool taken = false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        taken = taken || strcmp(name, others[i]) == 0;
    for (const struct metric *metric = loadgen_catalogue; metric->name; metric++) {
        size_t bytes = strcspn(metric->name, ".");
        taken = taken || (strlen(name) == bytes && memcmp(metric->name, name, bytes) == 0);
    }
    if (taken)
        return err_set(err, -EINVAL, "group \"%s\": figures of the run have this name; take another", name);
    return check_name("group", name, err);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int find_group(const struct mix *mix, const char *name)
{
    for (int i = 0; i < mix->group_count; i++)
        if (strcmp(mix->crews[i].name, name) == 0)
            return i;
    return -1;
}

static int read_group(struct mix *mix, const json_t *json, const struct mix_keys *keys,
                      const struct config *base, struct err *err)
{
    const char *name = text_of(json, "name");
    int code = check_group_name(name, err);
    if (code < 0)
        return code;
    if (find_group(mix, name) >= 0)
        return err_set(err, -EINVAL, "group %s is there twice", name);
    if (mix->group_count == CREWS_MAX)
        return err_set(err, -EINVAL, "group %s is one too many: %d is the most", name, CREWS_MAX);
    struct mix_group *group = &mix->groups[mix->group_count];
    struct crew_request *crew = &mix->crews[mix->group_count];
    struct config *config = malloc(sizeof *config);
    if (!config)
        return err_set(err, -ENOMEM, "out of memory for %s", name);
    *config = *base;
    memset(config->options, 0, sizeof config->options);
    config->crews = NULL;
    config->crew_count = 0;
    crew->config = group->config = config;
    snprintf(crew->name, sizeof crew->name, "%s", name);
    mix->group_count++;
    code = mix_keys_parse(keys, config, json_object_get(json, "options"), &group->given, err);
    return code < 0 ? err_prefix(err, code, "group %s", name) : 0;
}

static int read_act(struct mix *mix, struct mix_phase *phase, const json_t *json, const struct mix_keys *keys,
                    struct err *err)
{
    const char *name = text_of(json, "group");
    int group = find_group(mix, name);
    if (group < 0)
        return err_set(err, -EINVAL, "phase %s: there is no group \"%.40s\"", phase->name, name);
    if (mix_act_of(phase, group))
        return err_set(err, -EINVAL, "phase %s: group %s is there twice", phase->name, name);
    struct mix_act *act = &phase->acts[phase->act_count++]; // at most one for each group
    act->group = group;
    uint64_t given;
    int code = mix_keys_parse(keys, &act->values, json_object_get(json, "options"), &given, err);
    if (code == 0 && !act->values.do_name)
        code = err_set(err, -EINVAL, "--do is missing: what does it do?");
    for (int i = 0; code == 0 && mix_acts[i]; i++)
        if (strcmp(mix_acts[i], act->values.do_name) == 0)
            act->what = (enum mix_do)i;
    if (code == 0)
        code = mix_keys_check(keys, given, (int)act->what, mix_acts, err);
    if (code == 0 && (act->what == DO_CONNECT && !mix_keys_has(keys, given, "to")))
        act->values.to = mix_own_of(&mix->groups[group])->connections;
    return code < 0 ? err_prefix(err, code, "phase %s: group %s", phase->name, name) : 0;
}

static int read_phase(struct mix *mix, const json_t *json, const struct mix_keys *keys,
                      const struct mix_keys *act_keys, struct err *err)
{
    const char *name = text_of(json, "name");
    uint64_t given;
    size_t i;
    json_t *act;
    int code = check_name("phase", name, err);
    if (code < 0)
        return code;
    for (int other = 0; other < mix->phase_count; other++)
        if (strcmp(mix->phases[other].name, name) == 0)
            return err_set(err, -EINVAL, "phase %s is there twice", name);
    if (mix->phase_count == MIX_PHASES_MAX)
        return err_set(err, -EINVAL, "phase %s is one too many: %d is the most", name, MIX_PHASES_MAX);
    struct mix_phase *phase = &mix->phases[mix->phase_count++];
    snprintf(phase->name, sizeof phase->name, "%s", name);
    code = mix_keys_parse(keys, &phase->keys, json_object_get(json, "options"), &given, err);
    if (code < 0)
        return err_prefix(err, code, "phase %s", name);
    json_array_foreach(json_object_get(json, "acts"), i, act)
    {
        code = read_act(mix, phase, act, act_keys, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static int read_parts(struct mix *mix, const struct config *base, struct err *err)
{
    struct mix_keys group_keys, phase_keys, act_keys;
    const json_t *groups = json_object_get(mix->json, "groups"),
                 *phases = json_object_get(mix->json, "phases");
    size_t i;
    json_t *one;
    int code = 0;
    mix_keys_of_group(&group_keys);
    mix_keys_of_phase(&phase_keys);
    mix_keys_of_act(&act_keys);
    mix->title = text_of(mix->json, "title");
    if (json_array_size(groups) == 0 || json_array_size(phases) == 0)
        return err_set(err, -EINVAL, "%s: there is none, so nothing would be done",
                       json_array_size(groups) == 0 ? "groups" : "phases");
    json_array_foreach(groups, i, one) if (code == 0) code = read_group(mix, one, &group_keys, base, err);
    json_array_foreach(phases, i, one) if (code == 0) code =
        read_phase(mix, one, &phase_keys, &act_keys, err);
    return code;
}

int mix_file_read(struct mix *mix, const char *path, const struct config *base, struct err *err)
{
    char *text;
    size_t bytes;
    json_error_t wrong;
    int code = whole_file_read(path, FILE_MOST, &text, &bytes, err);
    if (code < 0)
        return code;
    mix->json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &wrong);
    free(text);
    if (!mix->json)
        return err_set(err, -EINVAL,
                       "line %d: not JSON: %s. A TOML file is for scripts/poolmark mix, which checks it and "
                       "makes the plain "
                       "form of it that this takes",
                       wrong.line, wrong.text);
    return read_parts(mix, base, err);
}
