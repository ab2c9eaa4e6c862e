// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/mix_keys.h"

#include "base/describe.h"
#include "loadgen/config.h"
#include "loadgen/identity_options.h"
#include "loadgen/scenarios/arrivals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mix_roles[] = {
    [ROLE_PUBLISHER] = "publisher", [ROLE_SUBSCRIBER] = "subscriber",   [ROLE_PAIRS] = "pairs",
    [ROLE_IDLE] = "idle",           [ROLE_SLOW_READER] = "slow-reader", NULL};
const char *const mix_acts[] = {
    [DO_CONNECT] = "connect", [DO_PUBLISH] = "publish",     [DO_CHURN] = "churn",
    [DO_STORM] = "storm",     [DO_SUBSCRIBE] = "subscribe", [DO_UNSUBSCRIBE] = "unsubscribe",
    [DO_SLOW] = "slow",       [DO_LEAVE] = "leave",         NULL};

#define BIT(n) (1U << (n))
enum {
    EVERY_ROLE = (1U << ROLE_COUNT) - 1,
    SENDS = BIT(ROLE_PUBLISHER) | BIT(ROLE_PAIRS),
    READS = BIT(ROLE_SUBSCRIBER) | BIT(ROLE_SLOW_READER),
    EVERY_ACT = (1U << DO_COUNT) - 1,
    COMES_BACK = BIT(DO_CHURN) | BIT(DO_STORM),
    CHANGES = BIT(DO_SUBSCRIBE) | BIT(DO_UNSUBSCRIBE),
    PACED = BIT(DO_CONNECT) | BIT(DO_PUBLISH) | BIT(DO_CHURN) | CHANGES,
};
_Static_assert(sizeof(struct mix_own) <= CONFIG_OPTIONS_BYTES, "the options have no room");

static int parse_sizes(const char *value, void *place, struct err *err)
{
    return payload_sizes_parse(place, value, err);
}

static int parse_pattern(const char *value, void *place, struct err *err)
{
    struct pattern *pattern = place;
    int code = pattern_parse(pattern, value, err);
    if (code == 0 && pattern->kind == PATTERN_PAIRS)
        return err_set(err, -EINVAL, "pairs are a role of their own: role = \"pairs\"");
    return code;
}

struct row {
    struct opt opt;
    unsigned of;
};

#define OWN(field) (offsetof(struct config, options) + offsetof(struct mix_own, field))
#define CONFIG(field) offsetof(struct config, field)
static const struct row group_rows[] = {
    {{"role", "NAME", OPT_CHOICE, OWN(role_name), NULL, 0, 0, mix_roles,
      "what the group is: publisher; subscriber, of the group that `from` names; pairs of a publisher and a "
      "subscriber "
      "each; idle; slow-reader, a subscriber that may stop reading",
      NULL},
     EVERY_ROLE},
    {{"connections", "N", OPT_COUNT, OWN(connections), NULL, 1, 100e6, NULL, "how many clients it has", NULL},
     EVERY_ROLE},
    {{"from", "GROUP", OPT_TEXT, OWN(from), NULL, 0, 0, NULL, "the publishers whose messages it gets", NULL},
     READS},
    {{"pattern", "P", OPT_PARSE, OWN(pattern), "fan-in", 0, 0, NULL,
      "fan-in: each publisher has a topic, each subscriber takes them all; fan-out: one topic for all; "
      "topics:N: publishers and subscribers are spread over N topics",
      parse_pattern},
     BIT(ROLE_PUBLISHER)},
    {{"qos", "N", OPT_COUNT, CONFIG(qos), "0", 0, 2, NULL,
      "of its messages and subscriptions; of subscribers, when it is not given, that of the publishers",
      NULL},
     EVERY_ROLE},
    {{"payload", "SIZE", OPT_PARSE, OWN(sizes), "64", 0, 0, NULL,
      "bytes of a message, at least 32; 4KiB, 100..2000, normal:MEAN,DEVIATION, exponential:MEAN",
      parse_sizes},
     SENDS},
    {{"payload-file", "FILE", OPT_TEXT, OWN(file), NULL, 0, 0, NULL,
      "instead: 32 bytes with times and numbers, then the content of the file", NULL},
     SENDS},
    {{"payload-template", "FILE", OPT_TEXT, OWN(template), NULL, 0, 0, NULL,
      "instead: the content of the file with %UNIQUE% and others replaced", NULL},
     SENDS},
    {{"retain", NULL, OPT_FLAG, OWN(retain), NULL, 0, 0, NULL, "its messages are to be retained", NULL},
     SENDS},
    {{"subscribe", NULL, OPT_FLAG, OWN(subscribe), NULL, 0, 0, NULL,
      "each client subscribes to a topic of its own, to which nobody publishes", NULL},
     BIT(ROLE_IDLE)},
    {{"keep-alive", "S", OPT_COUNT, CONFIG(keep_alive_s), "0", 0, 65535, NULL,
      "MQTT keep alive in seconds; 0: none", NULL},
     EVERY_ROLE},
    {{"workers", "N", OPT_COUNT, CONFIG(workers), "0", 0, 10000, NULL,
      "its worker processes; 0: as many as it takes", NULL},
     EVERY_ROLE},
    {{"clients-per-worker", "N", OPT_COUNT, CONFIG(clients_per_worker), "0", 0, 1000000, NULL,
      "its clients of one process; 0: what the engine likes", NULL},
     EVERY_ROLE},
};

#define PHASE(field) offsetof(struct mix_phase_keys, field)
static const struct row phase_rows[] = {
    {{"duration", "D", OPT_DURATION, PHASE(duration_ns), "0", 0, OPTION_FAR, NULL,
      "how long it lasts, at least; publish, churn and slow take so long. 0: until what is done in it is "
      "over",
      NULL},
     0},
    {{"settle", "D", OPT_DURATION, PHASE(settle_ns), "0", 0, OPTION_FAR, NULL,
      "at its end wait at most so long for the target's memory to be level", NULL},
     0},
};

#define ACT(field) offsetof(struct mix_act_values, field)
static const struct row act_rows[] = {
    {{"do", "NAME", OPT_CHOICE, ACT(do_name), NULL, 0, 0, mix_acts,
      "what the group does: connect; publish; churn, clients leave and come back at a rate; storm, all leave "
      "and come back "
      "at once; subscribe and unsubscribe, further filters; slow, its clients read nothing or at a rate; "
      "leave",
      NULL},
     EVERY_ACT},
    {{"rate", "N/s", OPT_RATE, ACT(rate_per_s), "0", 0, 1e9, NULL,
      "connects, messages, turns or changes a second, the whole group together, open loop; 0: as fast as it "
      "goes",
      NULL},
     PACED},
    {{"every", "D", OPT_DURATION, ACT(every_ns), "0", 0, OPTION_FAR, NULL,
      "instead of a rate: each client does it once in so long", NULL},
     BIT(DO_PUBLISH) | BIT(DO_CHURN)},
    {{"to", "N", OPT_COUNT, ACT(to), "0", 0, 100e6, NULL,
      "how many clients are connected then: of connect all, of leave none, unless it is given", NULL},
     BIT(DO_CONNECT) | BIT(DO_LEAVE)},
    {{"by", "HOW", OPT_CHOICE, ACT(by), "disconnect", 0, 0, option_leaves,
      "how clients leave: disconnect (DISCONNECT), fin, rst, mix (the three in turn; not of leave)", NULL},
     COMES_BACK | BIT(DO_LEAVE)},
    {{"away", "D", OPT_DURATION, ACT(away_ns), "0", 0, OPTION_FAR, NULL,
      "how long a client stays away before it comes back", NULL},
     COMES_BACK},
    {{"in-flight", "N", OPT_COUNT, ACT(in_flight), "10", 1, 1e6, NULL,
      "without a rate: messages of a publisher on their way at most", NULL},
     BIT(DO_PUBLISH)},
    {{"filters", "N", OPT_COUNT, ACT(filters), "1", 1, 1e6, NULL, "of each client", NULL}, CHANGES},
    {{"wildcards", "N", OPT_NUMBER, ACT(wildcards), "0", 0, 1, NULL,
      "the share of these that end in a wildcard", NULL},
     CHANGES},
    {{"read-rate", "BYTES", OPT_BYTES, ACT(read_per_s), "0", 0, 1 << 20, NULL,
      "bytes a second that each client reads; 0: nothing", NULL},
     BIT(DO_SLOW)},
    {{"for", "D", OPT_DURATION, ACT(for_ns), "0", 0, OPTION_FAR, NULL,
      "how long they are slow, from the beginning of the phase; 0: to its end", NULL},
     BIT(DO_SLOW)},
    {{"drain", "D", OPT_DURATION, ACT(drain_ns), "5s", 1e8, OPTION_FAR, NULL,
      "at the end wait for so long for what is under way; what has not come then is lost", NULL},
     BIT(DO_PUBLISH) | CHANGES},
};
static const struct opt pace_rows[] = {OPTIONS_PACE(ACT(pace))};
static const struct opt comeback_rows[] = {OPTIONS_BACKOFF(ACT(comeback))};
#define COUNT(rows) (int)(sizeof(rows) / sizeof(rows)[0])

static void put(struct mix_keys *keys, const struct opt *row, unsigned of)
{
    if (keys->count == MIX_KEYS_MAX)
        abort(); // more keys than there is room for
    keys->rows[keys->count] = *row;
    keys->of[keys->count++] = of;
}

static void put_all(struct mix_keys *keys, const struct row *rows, int count)
{
    *keys = (struct mix_keys){.count = 0};
    for (int i = 0; i < count; i++)
        put(keys, &rows[i].opt, rows[i].of);
}

void mix_keys_of_group(struct mix_keys *keys)
{
    put_all(keys, group_rows, COUNT(group_rows));
    for (const struct opt *row = identity_options; row->name || row->kind == OPT_HEADING; row++) {
        // A password would stand in a file that is passed around, and in the record. `users` names one that has it.
        if (row->kind == OPT_HEADING || strcmp(row->name, "password") == 0)
            continue;
        put(keys, row, strcmp(row->name, "topic") == 0 ? SENDS | BIT(ROLE_IDLE) : EVERY_ROLE);
    }
}

void mix_keys_of_phase(struct mix_keys *keys)
{
    put_all(keys, phase_rows, COUNT(phase_rows));
}

void mix_keys_of_act(struct mix_keys *keys)
{
    put_all(keys, act_rows, COUNT(act_rows));
    for (int i = 0; i < COUNT(pace_rows); i++)
        put(keys, &pace_rows[i], PACED);
    for (int i = 0; i < COUNT(comeback_rows); i++)
        put(keys, &comeback_rows[i], COMES_BACK);
}

// --- reading -----------------------------------------------------------------------------------------------

static int make_argv(const json_t *words, char ***argv_out, int *argc, struct err *err)
{
    static char program[] = "mix";
    size_t count = json_array_size(words), i;
    json_t *word;
    if (!json_is_array(words) || count > 1000)
        return err_set(err, -EINVAL, "its options are not a list of words");
    json_array_foreach(words, i, word) if (!json_is_string(word)) return err_set(
        err, -EINVAL, "its options have something that is not a text");
    char **argv = calloc(count + 2, sizeof *argv);
    if (!argv)
        return err_set(err, -ENOMEM, "out of memory");
    argv[0] = program;
    // getopt moves the pointers and leaves the texts alone.
    json_array_foreach(words, i, word) argv[i + 1] = (char *)(uintptr_t)json_string_value(word);
    *argv_out = argv;
    *argc = (int)count + 1;
    return 0;
}

int mix_keys_parse(const struct mix_keys *keys, void *place, const json_t *words, uint64_t *given,
                   struct err *err)
{
    char **argv = NULL;
    int argc = 0, rest = 0, code = make_argv(words, &argv, &argc, err);
    if (code < 0)
        return code;
    code = opts_parse(keys->rows, place, argc, argv, &rest, err);
    if (code > 0)
        code = err_set(err, -EINVAL, "--help, --version and --describe are no keys");
    if (code == 0 && rest < argc)
        code = err_set(err, -EINVAL, "\"%.100s\" is no key", argv[rest]);
    *given = 0;
    for (int i = 0; i < keys->count && code == 0; i++)
        if (opts_was_given(keys->rows, argc, argv, keys->rows[i].name))
            *given |= UINT64_C(1) << i;
    free(argv);
    return code;
}

bool mix_keys_has(const struct mix_keys *keys, uint64_t given, const char *name)
{
    for (int i = 0; i < keys->count; i++)
        if (strcmp(keys->rows[i].name, name) == 0)
            return given >> i & 1;
    return false;
}

static void join(unsigned bits, const char *const *names, char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; names[i]; i++)
        if (bits & BIT(i))
            snprintf(text + strlen(text), size - strlen(text), "%s%s", text[0] ? ", " : "", names[i]);
}

int mix_keys_check(const struct mix_keys *keys, uint64_t given, int who, const char *const *names,
                   struct err *err)
{
    for (int i = 0; i < keys->count; i++) {
        char text[160];
        if (!(given >> i & 1) || keys->of[i] & BIT(who))
            continue;
        join(keys->of[i], names, text, sizeof text);
        return err_set(err, -EINVAL, "--%s: %s does not use it; it is for %s", keys->rows[i].name, names[who],
                       text);
    }
    return 0;
}

// --- description -------------------------------------------------------------------------------------------

static json_t *names_of(unsigned bits, const char *const *names)
{
    json_t *list = json_array();
    for (int i = 0; names && names[i]; i++)
        if (bits & BIT(i))
            json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *describe(const struct mix_keys *keys, const char *const *names)
{
    json_t *list = describe_options(keys->rows), *row;
    size_t i;
    json_array_foreach(list, i, row) json_object_set_new(row, "of", names_of(keys->of[i], names));
    return list;
}

json_t *mix_keys_describe(void)
{
    struct mix_keys group, phase, act;
    mix_keys_of_group(&group);
    mix_keys_of_phase(&phase);
    mix_keys_of_act(&act);
    return json_pack("{s:o,s:o,s:o}", "group", describe(&group, mix_roles), "phase", describe(&phase, NULL),
                     "act", describe(&act, mix_acts));
}
