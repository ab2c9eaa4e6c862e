// SPDX-License-Identifier: Apache-2.0
#include "loadgen/config.h"

#include "base/clock.h"
#include "base/describe.h"
#include "base/units.h"
#include "loadgen/catalogue.h"
#include "loadgen/engine.h"
#include "loadgen/payload.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int parse_steps(const char *value, void *place, struct err *err)
{
    struct config_steps *steps = place;
    *steps = (struct config_steps){0};
    const char *at = value;
    for (;;) {
        char part[32];
        size_t bytes = strcspn(at, ",");
        if (bytes == 0 || bytes >= sizeof part)
            return err_set(err, -EINVAL, "it is not a list of counts such as 10,100,1k");
        memcpy(part, at, bytes);
        part[bytes] = '\0';
        int64_t goal;
        if (units_parse_count(part, &goal) < 0 || goal < 1)
            return err_set(err, -EINVAL, "\"%s\" is not a count of at least 1", part);
        if (steps->count > 0 && goal <= steps->goals[steps->count - 1])
            return err_set(err, -EINVAL, "\"%s\" does not rise: steps must be in rising order", part);
        if (steps->count == CONFIG_STEPS_MAX)
            return err_set(err, -EINVAL, "there are more than %d steps", CONFIG_STEPS_MAX);
        steps->goals[steps->count++] = goal;
        if (!at[bytes])
            return 0;
        at += bytes + 1;
    }
}

static int parse_engine(const char *value, void *place, struct err *err)
{
    const struct engine *engine = engine_find(value);
    if (engine) {
        *(const char **)place = engine->name;
        return 0;
    }
    char names[200] = "";
    for (const struct engine *const *at = engine_list(); *at; at++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] ? ", " : "",
                 (*at)->name);
    return err_set(err, -EINVAL, "there is no such engine; there are: %s", names);
}

#define AT(field) offsetof(struct config, field)
#define FAR 1e18
static const struct opt table[] = {
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Target and engine", NULL},
    {"target", "URI", OPT_LIST, AT(targets), NULL, 0, 0, NULL,
     "a broker, mqtt://HOST[:PORT], an IPv6 address in brackets, port 1883 when none is given; several "
     "times, or several with commas: "
     "clients are spread over them",
     NULL},
    {"engine", "NAME", OPT_PARSE, AT(engine_name), "paho", 0, 0, NULL,
     "paho: the paho.mqtt.c library; raw: our own epoll loop", parse_engine},
    {"source", "ADDR", OPT_LIST, AT(sources), NULL, 0, 0, NULL,
     "source addresses (raw); made up on the loopback when they are needed and none is given", NULL},
    {"workers", "N", OPT_COUNT, AT(workers), "0", 0, 10000, NULL, "worker processes; 0: as many as it takes",
     NULL},
    {"clients-per-worker", "N", OPT_COUNT, AT(clients_per_worker), "0", 0, 1000000, NULL,
     "clients of one process; 0: what the engine likes", NULL},
    {"tokens", "N", OPT_COUNT, AT(tokens), "0", 0, 10000, NULL,
     "workers that connect at a time when there is no --rate; 0: what the engine likes", NULL},
    {"window", "N", OPT_COUNT, AT(window), "0", 0, 100000, NULL,
     "connects under way at once in one worker; 0: what the engine likes", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Connections", NULL},
    {"connections", "N", OPT_COUNT, AT(connections), "0", 0, 100e6, NULL,
     "how many; 0: 1000 for connect, two a pair for publish", NULL},
    {"rate", "N/s", OPT_RATE, AT(connect_rate_per_s), "0", 0, 1e9, NULL,
     "connects a second, open loop; 0: as fast as it goes", NULL},
    {"hold", "D", OPT_DURATION, AT(hold_ns), "0", 0, FAR, NULL, "how long to hold the connections", NULL},
    {"subscribe", NULL, OPT_FLAG, AT(subscribe), NULL, 0, 0, NULL,
     "each client subscribes to a topic of its own", NULL},
    {"prove", NULL, OPT_FLAG, AT(prove), NULL, 0, 0, NULL,
     "at the top, every client shows that it is alive: PINGRESP (raw) or PUBACK (paho)", NULL},
    {"prefix", "TEXT", OPT_TEXT, AT(prefix_asked), NULL, 0, 0, NULL,
     "client identifiers are TEXT-NUMBER; at most 15 letters and digits. Otherwise pm and 64 random bits, so "
     "that "
     "generators on one broker do not meet",
     NULL},
    {"keep-alive", "S", OPT_COUNT, AT(keep_alive_s), "0", 0, 65535, NULL,
     "MQTT keep alive in seconds; 0: none", NULL},
    {"timeout", "D", OPT_DURATION, AT(timeout_ns), "120s", 1e6, FAR, NULL,
     "a connect that takes longer has failed", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Publishing", NULL},
    {"pairs", "N", OPT_COUNT, AT(pairs), "100", 1, 1e6, NULL, "publisher and subscriber each", NULL},
    {"spread-pairs", NULL, OPT_FLAG, AT(spread_pairs), NULL, 0, 0, NULL,
     "with several targets: publisher and subscriber of a pair on different ones, which must be one cluster; "
     "otherwise a pair stays on one",
     NULL},
    {"publish-rate", "N/s", OPT_RATE, AT(publish_rate_per_s), "1000", 0, 1e9, NULL,
     "messages a second, all pairs together, open loop; 0: as fast as they are delivered", NULL},
    {"qos", "N", OPT_COUNT, AT(qos), "0", 0, 2, NULL, "0, 1 or 2", NULL},
    {"payload", "BYTES", OPT_BYTES, AT(payload_bytes), "64", 0, 16777216, NULL,
     "at least 32: times and numbers travel in it", NULL},
    {"duration", "D", OPT_DURATION, AT(duration_ns), "10s", 1e6, FAR, NULL,
     "how long to publish, after the warm-up", NULL},
    {"warmup", "D", OPT_DURATION, AT(warmup_ns), "1s", 0, FAR, NULL, "publish first for so long, unmeasured",
     NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Steps", NULL},
    {"steps", "LIST", OPT_PARSE, AT(steps), "10,100,1000,10000", 0, 0, NULL, "connections at each step",
     parse_steps},
    {"settle", "D", OPT_DURATION, AT(settle_ns), "10s", 0, FAR, NULL,
     "wait at most so long for the target's memory to be level", NULL},
    {"probe", "N", OPT_COUNT, AT(probes), "100", 0, 10000, NULL,
     "clients beside the others that measure delivery at each step (even)", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Record", NULL},
    {"watch-pid", "PID", OPT_LIST, AT(watch), NULL, 0, 0, NULL,
     "a process of the target: its memory is sampled; several times", NULL},
    {"watch-record", "DIR", OPT_LIST, AT(watch_records), NULL, 0, 0, NULL,
     "a --record folder of the reference broker: steps reads what its pools own; several times", NULL},
    {"record", "DIR", OPT_TEXT, AT(record_dir), NULL, 0, 0, NULL,
     "write run.json, latency.hlog, memory.csv there", NULL},
    {"self-latency", NULL, OPT_FLAG, AT(self_latency), NULL, 0, 0, NULL,
     "first measure what the generator itself adds, against a peer that answers at once", NULL},
    {"seed", "N", OPT_COUNT, AT(seed), "1", 0, FAR, NULL, "for the record: the schedule has no randomness",
     NULL},
    {"quiet", NULL, OPT_FLAG, AT(quiet), NULL, 0, 0, NULL, "no progress, no table", NULL},
    {0},
};

// Scenarios as bits, in the order of `scenarios`.
enum { CONNECT = 1 << 0, PUBLISH = 1 << 1, STEPS = 1 << 2 };

static const struct {
    const char *name, *summary;
} scenarios[] = {
    {"connect", "connects so many clients, at a rate or as fast as it goes, and holds them"},
    {"publish", "connects pairs, and publishes over them at a rate"},
    {"steps", "connects in rising steps; at each reads memory and measures delivery"},
};
enum { SCENARIO_COUNT = sizeof scenarios / sizeof scenarios[0] };

// Options that not every scenario uses: to one that does not they are refused, not silently left aside.
static const struct {
    const char *option;
    unsigned users;
} parts[] = {
    {"connections", CONNECT | PUBLISH},
    {"hold", CONNECT | STEPS},
    {"subscribe", CONNECT | STEPS},
    {"settle", CONNECT | STEPS},
    {"duration", PUBLISH | STEPS},
    {"pairs", PUBLISH},
    {"publish-rate", PUBLISH},
    {"spread-pairs", PUBLISH | STEPS},
    {"payload", PUBLISH},
    {"warmup", PUBLISH},
    {"steps", STEPS},
    {"probe", STEPS},
    {"watch-record", STEPS},
};

static unsigned users_of(const char *option)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(parts[i].option, option) == 0)
            return parts[i].users;
    return ~0U;
}

// 0 for what is no scenario.
static unsigned scenario_bit(const char *name)
{
    for (int i = 0; i < SCENARIO_COUNT; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return 1U << i;
    return 0;
}

// "connect, publish or steps", of those whose bit is set; `joint` stands before the last.
static const char *join_scenarios(unsigned bits, const char *joint, char text[static 200])
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < SCENARIO_COUNT; i++) {
        if (!(bits & 1U << i))
            continue;
        const char *between = used == 0 ? "" : (bits >> i) > 1 ? ", " : joint;
        used += (size_t)snprintf(text + used, 200 - used, "%s%s", between, scenarios[i].name);
    }
    return text;
}

static int check_scenario(struct config *config, int argc, char **argv, int rest, struct err *err)
{
    char names[200];
    join_scenarios(~0U, " or ", names);
    if (rest >= argc)
        return err_set(err, -EINVAL, "no scenario: %s (see --help)", names);
    config->scenario = argv[rest];
    if (!scenario_bit(config->scenario))
        return err_set(err, -EINVAL, "\"%s\" is no scenario: %s", config->scenario, names);
    if (rest + 1 < argc)
        return err_set(err, -EINVAL, "\"%s\": one scenario at a time", argv[rest + 1]);
    return 0;
}

static int check_parts(const struct config *config, int argc, char **argv, struct err *err)
{
    char names[200];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!(parts[i].users & scenario_bit(config->scenario)) &&
            opts_was_given(table, argc, argv, parts[i].option))
            return err_set(err, -EINVAL, "--%s: scenario %s does not use it; it is for %s", parts[i].option,
                           config->scenario, join_scenarios(parts[i].users, " and ", names));
    return 0;
}

static int check_watch_records(const struct config *config, struct err *err)
{
    for (int i = 0; i < config->watch_records.count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/pools.csv", config->watch_records.values[i]);
        if (access(path, R_OK) < 0)
            return err_set(
                err, -EINVAL,
                "--watch-record: cannot read %s: %m; name the --record folder of a poolmark-broker "
                "that runs",
                path);
    }
    return 0;
}

static int check_watch(struct config *config, struct err *err)
{
    for (int i = 0; i < config->watch.count; i++) {
        int64_t pid;
        if (units_parse_count(config->watch.values[i], &pid) < 0 || pid < 1 || pid > 4194304)
            return err_set(err, -EINVAL, "--watch-pid \"%s\" is not the number of a process",
                           config->watch.values[i]);
        char path[64];
        snprintf(path, sizeof path, "/proc/%lld", (long long)pid);
        if (access(path, F_OK) < 0)
            return err_set(err, -EINVAL, "--watch-pid %lld: there is no such process", (long long)pid);
        config->watch_pids[i] = pid;
    }
    return 0;
}

static int check_numbers(struct config *config, struct err *err)
{
    bool publish = strcmp(config->scenario, "publish") == 0;
    if (publish && config->payload_bytes < PAYLOAD_MIN_BYTES)
        return err_set(err, -EINVAL,
                       "--payload %lld is less than %d bytes: a message carries its times and number",
                       (long long)config->payload_bytes, PAYLOAD_MIN_BYTES);
    if (strcmp(config->scenario, "steps") == 0) {
        config->connections = config->steps.goals[config->steps.count - 1];
        if (config->probes % 2 != 0)
            return err_set(err, -EINVAL, "--probe %lld is odd: probes come in pairs",
                           (long long)config->probes);
    }
    if (publish && config->connections == 0)
        config->connections = 2 * config->pairs;
    if (publish && config->connections < 2 * config->pairs)
        return err_set(err, -EINVAL, "--connections %lld are too few for %lld pairs, which need %lld",
                       (long long)config->connections, (long long)config->pairs,
                       (long long)(2 * config->pairs));
    if (config->connections == 0)
        config->connections = 1000;
    return 0;
}

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// Several generators may share a broker, from containers that all have the same pid: 64 random bits tell
// their clients apart. With a number of nine digits an identifier has 23 bytes, which every broker takes
// [MQTT-3.1.3-5].
static int make_prefix(struct config *config, struct err *err)
{
    if (config->prefix_asked) {
        size_t bytes = strlen(config->prefix_asked);
        if (bytes == 0 || bytes >= sizeof config->prefix || strspn(config->prefix_asked, digits) != bytes)
            return err_set(err, -EINVAL, "--prefix \"%s\" is not 1 to %d letters and digits",
                           config->prefix_asked, (int)sizeof config->prefix - 1);
        memcpy(config->prefix, config->prefix_asked, bytes + 1);
        return 0;
    }
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, -EIO, "no random number for client identifiers: %m; give --prefix");
    char *at = config->prefix;
    *at++ = 'p';
    *at++ = 'm';
    for (int i = 0; i < 11; i++, random /= 62) // 62 ^ 11 is above 2 ^ 64
        *at++ = digits[random % 62];
    *at = '\0';
    return 0;
}

// Of a call that is to run; what a description needs is checked already.
static int check_run(struct config *config, struct err *err)
{
    int code = 0;
    if (config->targets.count == 0)
        code = err_set(err, -EINVAL, "no --target: give at least one, as mqtt://127.0.0.1:1883");
    if (code == 0)
        code = check_watch(config, err);
    if (code == 0)
        code = check_watch_records(config, err);
    if (code == 0)
        code = make_prefix(config, err);
    return code;
}

int config_parse(struct config *config, int argc, char **argv, struct err *err)
{
    *config = (struct config){0};
    int rest = 0;
    int parsed = opts_parse(table, config, argc, argv, &rest, err);
    if (parsed == OPTS_DESCRIBE && rest >= argc)
        return parsed;
    if (parsed != OPTS_RUN && parsed != OPTS_DESCRIBE)
        return parsed;
    int code = check_scenario(config, argc, argv, rest, err);
    if (code == 0)
        code = check_parts(config, argc, argv, err);
    if (code == 0 && parsed == OPTS_RUN)
        code = check_run(config, err);
    if (code == 0)
        code = check_numbers(config, err);
    return code < 0 ? code : parsed;
}

static const char *scenario_among(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (scenario_bit(argv[i]))
            return argv[i];
    return NULL;
}

void config_print_help(int argc, char **argv, FILE *to)
{
    const char *scenario = scenario_among(argc, argv);
    struct opt shown[sizeof table / sizeof table[0]];
    int count = 0;
    for (const struct opt *opt = table; opt->name || opt->kind == OPT_HEADING; opt++) {
        if (opt->name && scenario && !(users_of(opt->name) & scenario_bit(scenario)))
            continue;
        // A heading whose options were all left out goes too.
        if (!opt->name && count > 0 && !shown[count - 1].name)
            count--;
        shown[count++] = *opt;
    }
    shown[count] = (struct opt){0};
    char usage[64];
    snprintf(usage, sizeof usage, "%s --target URI [OPTION]...",
             scenario ? scenario : "connect|publish|steps");
    opts_print_help(shown, "poolmark-loadgen", usage,
                    "Opens MQTT connections, publishes over them, and records latencies and memory.", to);
    fprintf(
        to,
        "\nExit code: 0 all fine; 1 a client failed or was dropped, or the run was ended early, by SIGINT "
        "too (what\nwas measured is kept); 2 wrong call.\n");
}

static json_t *texts(const struct opt_list *list)
{
    json_t *array = json_array();
    for (int i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->values[i]));
    return array;
}

json_t *config_json(const struct config *config)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:o, s:I, s:f, s:I, s:b, s:b, s:I, s:I}", "scenario", config->scenario, "engine",
        config->engine_name, "targets", texts(&config->targets), "sources", texts(&config->sources),
        "connections", (json_int_t)config->connections, "rate_per_s", config->connect_rate_per_s, "hold_ns",
        (json_int_t)config->hold_ns, "subscribe", (int)config->subscribe, "prove", (int)config->prove,
        "keep_alive_s", (json_int_t)config->keep_alive_s, "timeout_ns", (json_int_t)config->timeout_ns);
    if (json && strcmp(config->scenario, "publish") == 0) {
        json_object_set_new(json, "pairs", json_integer(config->pairs));
        json_object_set_new(json, "publish_rate_per_s", json_real(config->publish_rate_per_s));
        json_object_set_new(json, "qos", json_integer(config->qos));
        json_object_set_new(json, "spread_pairs", json_boolean(config->spread_pairs));
        json_object_set_new(json, "payload_bytes", json_integer(config->payload_bytes));
        json_object_set_new(json, "duration_ns", json_integer(config->duration_ns));
        json_object_set_new(json, "warmup_ns", json_integer(config->warmup_ns));
    }
    if (json && strcmp(config->scenario, "steps") == 0) {
        json_t *steps = json_array();
        for (int i = 0; i < config->steps.count; i++)
            json_array_append_new(steps, json_integer(config->steps.goals[i]));
        json_object_set_new(json, "steps", steps);
        json_object_set_new(json, "settle_ns", json_integer(config->settle_ns));
        json_object_set_new(json, "probes", json_integer(config->probes));
    }
    return json;
}

static json_t *describe_scenarios(void)
{
    json_t *list = json_array();
    for (int i = 0; i < SCENARIO_COUNT; i++) {
        json_t *options = json_array();
        for (const struct opt *opt = table; opt->name || opt->kind == OPT_HEADING; opt++)
            if (opt->name && users_of(opt->name) & 1U << i)
                json_array_append_new(options, json_string(opt->name));
        json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "name", scenarios[i].name, "summary",
                                              scenarios[i].summary, "options", options));
    }
    return list;
}

static json_t *describe_engines(void)
{
    static const struct describe_flag caps[] = {
        {ENGINE_CAP_BIND, "bind"}, {ENGINE_CAP_PING, "ping"}, {ENGINE_CAP_RESTLESS, "restless"}, {0}};
    json_t *list = json_array();
    for (const struct engine *const *at = engine_list(); *at; at++)
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:o,s:I,s:I,s:i,s:I,s:I,s:i}", "name", (*at)->name, "summary", (*at)->summary,
                      "capabilities", describe_flags(caps, (*at)->caps), "clients",
                      (json_int_t)(*at)->clients, "clients_max", (json_int_t)(*at)->clients_max, "tokens",
                      (*at)->tokens, "client_bytes", (json_int_t)(*at)->client_bytes, "process_bytes",
                      (json_int_t)(*at)->process_bytes, "process_threads", (*at)->process_threads));
    return list;
}

json_t *config_describe(void)
{
    json_t *root = describe_new("poolmark-loadgen", table, loadgen_catalogue);
    json_object_set_new(root, "scenarios", describe_scenarios());
    json_object_set_new(root, "engines", describe_engines());
    json_object_set_new(root, "connections_per_route", json_integer(PLAN_PER_ROUTE_MAX));
    return root;
}
