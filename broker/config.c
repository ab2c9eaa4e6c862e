// SPDX-License-Identifier: Apache-2.0
#include "broker/config.h"

#include "base/units.h"
#include "broker/memory_limit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Default of --initial for the pool `connections`. The auto-expanding brokers that we measure start with the
// same number.
enum { INITIAL_CONNECTIONS = 1024, UNTOLD = -1 };

static const double growth_least = 1.01, growth_most = 1000;
static const char adaptive[] = BROKER_ADAPTIVE;

static int parse_growth(const char *text, void *place, struct err *err)
{
    struct growth_option *growth = place;
    bool by_load = strncmp(text, adaptive, strlen(adaptive)) == 0;
    const char *number = by_load ? text + strlen(adaptive) : text;
    *growth = (struct growth_option){.rule = by_load ? POOL_RULE_ADAPTIVE : POOL_RULE_FACTOR};
    growth->factor = ((struct pool_config)POOL_CONFIG_DEFAULTS).growth;
    if (by_load && !*number)
        return 0;
    number += by_load && *number == ':';
    size_t digits = strspn(number, "0123456789.");
    char *end;
    double factor = strtod(number, &end);
    if (digits == 0 || number[digits] || *end || (by_load && number == text + strlen(adaptive)) ||
        !(factor >= growth_least && factor <= growth_most))
        return err_set(err, -EINVAL, "it takes a number from %g to %g, or %s, or %s:NUMBER", growth_least,
                       growth_most, adaptive, adaptive);
    growth->factor = factor;
    return 0;
}

static int parse_shape(const char *text, void *place, struct err *err)
{
    return shape_parse(text, place, err);
}

static const char *const yes_no[] = {"true", "false", NULL};
static const char *const syncs[] = {"full", "normal", NULL};
static const char *const overflows[] = {"heap", "refuse", NULL};
static const char *const expand_modes[] = {"inline", "background", NULL};

#define AT(field) offsetof(struct broker_config, field)
const struct opt broker_options[] = {
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Network", NULL},
    {"listen", "ADDR:PORT", OPT_LIST, AT(listen_texts), "127.0.0.1:1883", 0, 0, NULL,
     "where to listen, several times; port 0 takes a free one", NULL},
    {"threads", "N", OPT_COUNT, AT(threads), "1", 1, CONFIG_THREADS_MAX, NULL,
     "event loops, each with listeners of its own", NULL},
    {"max-connections", "N", OPT_COUNT, AT(max_connections), "0", 0, 1e9, NULL,
     "connections at once; others are refused by a CONNACK; 0: as many as there are descriptors", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Pools: connections, buffers, arenas, messages", NULL},
    {"pool", "[NAME=]STRATEGY", OPT_LIST, AT(pool_texts), "malloc", 0, 0, NULL,
     "strategy of all pools, or of one: a name of --list-pools, or the path of a shared library with one "
     "(./mine.so); several times",
     NULL},
    {"shape", "SHAPE", OPT_PARSE, AT(shape), "lean", 0, 0, NULL,
     "classic, classic-lazy, lean, or object=..,read=..,write=..,arena=..,eager|lazy: what a connection "
     "holds",
     parse_shape},
    {"initial", "[NAME=]N", OPT_LIST, AT(initial_texts), NULL, 0, 0, NULL,
     "objects made at start: of connections (1024, where the strategy keeps objects ready), or of NAME (0)",
     NULL},
    {"max", "[NAME=]N", OPT_LIST, AT(max_texts), NULL, 0, 0, NULL,
     "most objects owned, of connections or of NAME; 0: unbounded", NULL},
    {"overflow", "heap|refuse", OPT_CHOICE, AT(overflow), "heap", 0, 0, overflows,
     "past a pool's max: serve from the heap, or refuse the client, where the strategy knows a bound", NULL},
    {"expand-at", "PERCENT", OPT_COUNT, AT(expand_at_percent), "80", 1, 100, NULL,
     "objects in use, of those owned, that make a pool grow", NULL},
    {"growth", "X|adaptive[:X]", OPT_PARSE, AT(growth), "1.5", 0, 0, NULL,
     "by what it grows, 1.01 to 1000; adaptive: by the load, where the strategy can, by X (1.5) at most",
     parse_growth},
    {"expand", "inline|background", OPT_CHOICE, AT(expand_mode), "background", 0, 0, expand_modes,
     "who makes the new objects: the connection that needs one, or a thread, where the strategy can", NULL},
    {"no-touch", NULL, OPT_FLAG, AT(no_touch), NULL, 0, 0, NULL,
     "objects made ahead are not touched: their pages come when they are used", NULL},
    {"sweep-every", "TIME", OPT_DURATION, AT(sweep_every_ns), "1s", 1e6, 3600e9, NULL,
     "how often the pools may give back what nobody uses", NULL},
    {"pressure", "SOURCE", OPT_LIST, AT(pressure_texts), NULL, 0, 0, NULL,
     "memory pressure that makes pools give back at once what is idle, the least used pool first: system "
     "(group and stall, as far as they are there), group[=DIR] (a control group near its limit), "
     "stall[=FILE] (tasks that wait for memory), bound=BYTES (of all pools); several times",
     NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Bounds", NULL},
    {"memory-limit", "BYTES", OPT_BYTES, AT(memory_limit_bytes), "0", 0, 1e15, NULL,
     "most memory for clients, sessions, subscriptions and messages together; past it work is refused; 0: "
     "three "
     "quarters of what the process may use",
     NULL},
    {"max-packet-size", "BYTES", OPT_BYTES, AT(max_packet_bytes), "16MiB", 1024, 268435460, NULL,
     "largest packet of a client; a larger one closes its connection", NULL},
    {"max-queued-messages", "N", OPT_COUNT, AT(max_queued_messages), "65536", 0, 1e9, NULL,
     "messages waiting for one client, here or away; more are dropped and counted", NULL},
    {"max-queued-bytes", "BYTES", OPT_BYTES, AT(max_queued_bytes), "16MiB", 0, 1e15, NULL,
     "the same in bytes, and as much again for what is not acknowledged; 0: any", NULL},
    {"max-inflight-messages", "N", OPT_COUNT, AT(max_inflight_messages), "256", 1, 65000, NULL,
     "messages sent to one client and not acknowledged", NULL},
    {"max-topic-levels", "N", OPT_COUNT, AT(max_topic_levels), "200", 1, 65536, NULL,
     "levels of a topic; a filter with more is refused, a PUBLISH closes the connection", NULL},
    {"max-filters", "N", OPT_COUNT, AT(max_filters), "0", 0, 1e9, NULL,
     "filters of one SUBSCRIBE; those after them are refused; 0: any", NULL},
    {"message-size-limit", "BYTES", OPT_BYTES, AT(message_size_limit), "0", 0, 268435455, NULL,
     "largest payload of a message; a larger one is not acknowledged, and closes the connection; 0: any",
     NULL},
    {"retain-available", "true|false", OPT_CHOICE, AT(retain_available), "true", 0, 0, yes_no,
     "false: who publishes with RETAIN, or has a will with it, is closed", NULL},
    {"max-retained-messages", "N", OPT_COUNT, AT(max_retained_messages), "0", 0, 1e12, NULL,
     "retained messages; past it a new one is not kept, acknowledged or delivered; 0: any", NULL},
    {"max-retained-bytes", "BYTES", OPT_BYTES, AT(max_retained_bytes), "0", 0, 1e15, NULL,
     "the same in bytes of topics and payloads; 0: any", NULL},
    {"persistent-client-expiration", "TIME", OPT_DURATION, AT(session_expiry_ns), "0", 0, 9e17, NULL,
     "a kept session ends so long after its client left; 0: never", NULL},
    {"max-connections-per-address", "N", OPT_COUNT, AT(max_connections_per_address), "0", 0, 1e9, NULL,
     "connections of one IPv4 address or IPv6 network of 64 bits; others are refused by a CONNACK; 0: any",
     NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "State", NULL},
    {"state", "FILE", OPT_TEXT, AT(state), NULL, 0, 0, NULL,
     "an SQLite database for kept sessions, what waits for them, and retained messages: all that was "
     "acknowledged survives the broker; made if it is not there",
     NULL},
    {"state-sync", "full|normal", OPT_CHOICE, AT(state_sync), "full", 0, 0, syncs,
     "an acknowledgement waits until the disk has it, or only until the system has it: then a power cut may "
     "take the last of them",
     NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Reports", NULL},
    {"record", "DIR", OPT_TEXT, AT(record), NULL, 0, 0, NULL,
     "writes run.json, pools.csv and events.csv there", NULL},
    {"metrics", "ADDR:PORT", OPT_TEXT, AT(metrics), NULL, 0, 0, NULL,
     "serves the statistics for Prometheus there, at /metrics", NULL},
    {"list-pools", NULL, OPT_FLAG, AT(list_pools), NULL, 0, 0, NULL, "prints the strategies and ends", NULL},
    {0}};

const char *broker_pool_name(enum broker_pool pool)
{
    static const char *const names[BROKER_POOL_COUNT] = {"connections", "buffers", "arenas", "messages"};
    return names[pool];
}

// Splits "NAME=VALUE"; a value without a name is for `unnamed`. -EINVAL for a name that no pool has.
static int split_named(const char *option, const char *text, int unnamed, int *pool, const char **value,
                       struct err *err)
{
    const char *equals = strchr(text, '=');
    if (equals && memchr(text, '/', (size_t)(equals - text)))
        equals = NULL; // a part of a path
    *pool = unnamed;
    *value = equals ? equals + 1 : text;
    if (!equals)
        return 0;
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        const char *name = broker_pool_name((enum broker_pool)i);
        if (strlen(name) == (size_t)(equals - text) && strncmp(name, text, strlen(name)) == 0) {
            *pool = i;
            return 0;
        }
    }
    return err_set(err, -EINVAL,
                   "--%s %s: no pool is called \"%.*s\"; they are connections, buffers, arenas, messages",
                   option, text, (int)(equals - text), text);
}

// By its name, or from the library at its path.
static int find_strategy(struct plugins *plugins, const char *text, const char *value,
                         const struct pool_strategy **strategy, struct err *err)
{
    if (plugins_is_path(value)) {
        int code = plugins_load(plugins, value, strategy, err);
        return code < 0 ? err_prefix(err, code, "--pool") : 0;
    }
    *strategy = pool_strategy_find(value);
    if (!*strategy)
        return err_set(err, -EINVAL, "--pool %s: there is no strategy \"%s\"; --list-pools shows them%s",
                       text, value,
                       access(value, F_OK) == 0 ? ", and a file is named with a slash, as in ./mine.so" : "");
    if (pool_strategy_caps(*strategy) & POOL_CAP_SHARES)
        return err_set(err, -EINVAL,
                       "--pool %s: %s gives everybody the same object; it is for benchmarks only", text,
                       value);
    return 0;
}

// Of two values for one pool the second would silently take the place of the first.
static int refuse_second(const char *option, const char *text, bool *given, struct err *err)
{
    if (*given)
        return err_set(err, -EINVAL, "--%s %s: that pool has a value already; give one", option, text);
    *given = true;
    return 0;
}

static int choose_strategies(struct broker_config *config, struct err *err)
{
    enum { ALL = -1 };
    for (int at = 0; at < BROKER_POOL_COUNT; at++)
        config->pools[at].strategy = pool_strategy_find("malloc");
    bool given[BROKER_POOL_COUNT + 1] = {false}; // the last: all pools
    // First the values for all pools, then the named ones: their order on the command line does not matter.
    for (int named = 0; named <= 1; named++)
        for (int i = 0; i < config->pool_texts.count; i++) {
            const char *text = config->pool_texts.values[i], *value;
            int pool;
            if (split_named("pool", text, ALL, &pool, &value, err) < 0 ||
                (!named &&
                 refuse_second("pool", text, &given[pool == ALL ? BROKER_POOL_COUNT : pool], err) < 0))
                return -EINVAL;
            const struct pool_strategy *strategy;
            if (find_strategy(&config->plugins, text, value, &strategy, err) < 0)
                return -EINVAL;
            for (int at = 0; at < BROKER_POOL_COUNT; at++)
                if (pool == at || (pool == ALL && !named))
                    config->pools[at].strategy = strategy;
        }
    return 0;
}

// Parses --initial or --max. Sets `named[i]` when pool i was named. `connections` has a value with its name or
// without.
static int set_counts(struct broker_config *config, const char *option, const struct opt_list *texts,
                      size_t field, bool named[BROKER_POOL_COUNT], struct err *err)
{
    bool given[BROKER_POOL_COUNT] = {false};
    for (int i = 0; i < texts->count; i++) {
        const char *value;
        int pool;
        int64_t count;
        if (split_named(option, texts->values[i], POOL_CONNECTIONS, &pool, &value, err) < 0 ||
            refuse_second(option, texts->values[i], &given[pool], err) < 0)
            return -EINVAL;
        if (units_parse_count(value, &count) < 0 || count < 0)
            return err_set(err, -EINVAL, "--%s %s: \"%s\" is not a count (10k and 1M are understood)", option,
                           texts->values[i], value);
        memcpy((char *)&config->pools[pool].config + field, &count, sizeof count);
        named[pool] = named[pool] || value != texts->values[i];
    }
    return 0;
}

static size_t object_bytes(const struct shape *shape, enum broker_pool pool)
{
    switch (pool) {
    case POOL_CONNECTIONS:
        return shape->object_bytes;
    case POOL_BUFFERS:
        return shape_buffer_bytes(shape);
    case POOL_ARENAS:
        return shape->arena_bytes;
    default:
        return CONFIG_MESSAGE_BYTES;
    }
}

static void set_defaults(struct broker_config *config)
{
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        struct pool_config *pool = &config->pools[i].config;
        *pool = (struct pool_config)POOL_CONFIG_DEFAULTS;
        pool->name = broker_pool_name((enum broker_pool)i);
        pool->object_bytes = object_bytes(&config->shape, (enum broker_pool)i);
        pool->expand_at_percent = (int)config->expand_at_percent;
        pool->growth = config->growth.factor;
        pool->growth_rule = config->growth.rule;
        pool->growth_mode =
            strcmp(config->expand_mode, "inline") == 0 ? POOL_GROW_INLINE : POOL_GROW_BACKGROUND;
        pool->overflow = strcmp(config->overflow, "heap") == 0 ? POOL_OVERFLOW_HEAP : POOL_OVERFLOW_REFUSE;
        pool->touch = !config->no_touch;
    }
    config->pools[POOL_CONNECTIONS].config.initial = UNTOLD;
}

static void choose_initial(struct pool_config *connections)
{
    if (connections->initial != UNTOLD)
        return;
    connections->initial = INITIAL_CONNECTIONS;
    if (connections->max && connections->max < INITIAL_CONNECTIONS)
        connections->initial = connections->max;
}

// "fixed, expand, blocks or slab": the strategies with that capability.
static const char *join_capable(unsigned cap, char *text, size_t size)
{
    const char *names[32];
    size_t count = 0, used = 0;
    for (const struct pool_strategy *const *at = pool_strategies(); *at && count < 32; at++)
        if (pool_strategy_caps(*at) & cap)
            names[count++] = pool_strategy_name(*at);
    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " or "
                                                  : ", ",
                                 names[i]);
    return text;
}

static bool is_bounded(const struct pool_spec *spec)
{
    return pool_strategy_caps(spec->strategy) & POOL_CAP_BOUNDED;
}

// Fits a pool's config to its strategy. A value without a pool's name is ignored if the strategy does not
// support it, so one command line serves every strategy. A value for a named pool is then an error. So is a
// refusal that will not come: who asks for it relies on it.
static int fit(struct pool_spec *spec, bool is_initial_named, bool is_max_named, struct err *err)
{
    struct pool_config fitted = spec->config;
    const char *strategy = pool_strategy_name(spec->strategy);
    pool_config_fit(spec->strategy, &fitted);
    if (is_initial_named && fitted.initial != spec->config.initial)
        return err_set(err, -EINVAL, "--initial %s=: strategy %s keeps no objects ready", fitted.name,
                       strategy);
    char bounded[200];
    if (is_max_named && fitted.max != spec->config.max)
        return err_set(err, -EINVAL, "--max %s=: strategy %s knows no bound; --pool %s=%s has one",
                       fitted.name, strategy, fitted.name,
                       join_capable(POOL_CAP_BOUNDED, bounded, sizeof bounded));
    if (spec->config.overflow == POOL_OVERFLOW_REFUSE && spec->config.max > 0 && !is_bounded(spec))
        return err_set(
            err, -EINVAL,
            "--max %lld --overflow refuse: strategy %s of pool %s knows no bound, and would refuse "
            "nobody; --pool %s has one, and --max-connections bounds connections with any",
            (long long)spec->config.max, strategy, fitted.name,
            join_capable(POOL_CAP_BOUNDED, bounded, sizeof bounded));
    if (fitted.max && fitted.initial > fitted.max)
        return err_set(err, -EINVAL, "pool %s: --initial %lld is more than --max %lld", fitted.name,
                       (long long)fitted.initial, (long long)fitted.max);
    spec->config = fitted;
    return 0;
}

static int plan_pools(struct broker_config *config, struct err *err)
{
    bool initial_named[BROKER_POOL_COUNT] = {false}, max_named[BROKER_POOL_COUNT] = {false}, refuses = false;
    set_defaults(config);
    if (choose_strategies(config, err) < 0 ||
        set_counts(config, "initial", &config->initial_texts, offsetof(struct pool_config, initial),
                   initial_named, err) < 0 ||
        set_counts(config, "max", &config->max_texts, offsetof(struct pool_config, max), max_named, err) < 0)
        return -EINVAL;
    choose_initial(&config->pools[POOL_CONNECTIONS].config);
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        // All pools but `connections` refuse only if --initial or --max names them.
        if (i != POOL_CONNECTIONS && !initial_named[i] && !max_named[i])
            config->pools[i].config.overflow = POOL_OVERFLOW_HEAP;
        if (fit(&config->pools[i], initial_named[i], max_named[i], err) < 0)
            return -EINVAL;
        refuses = refuses || config->pools[i].config.overflow == POOL_OVERFLOW_REFUSE;
    }
    char bounded[200];
    if (strcmp(config->overflow, "refuse") == 0 && !refuses)
        return err_set(err, -EINVAL,
                       "--overflow refuse: no pool has a bound, and none would refuse; --pool %s has one",
                       join_capable(POOL_CAP_BOUNDED, bounded, sizeof bounded));
    return 0;
}

// Pressure that no pool answers would be found out when memory is gone.
static int check_relief(const struct broker_config *config, struct err *err)
{
    char capable[200];
    if (!config->relief.sources)
        return 0;
    for (int i = 0; i < BROKER_POOL_COUNT; i++)
        if (pool_strategy_caps(config->pools[i].strategy) & POOL_CAP_SHRINKS)
            return 0;
    return err_set(err, -EINVAL, "--pressure %s: no pool gives memory back; --pool %s does",
                   config->pressure_texts.values[0], join_capable(POOL_CAP_SHRINKS, capable, sizeof capable));
}

static int parse_addresses(struct broker_config *config, struct err *err)
{
    if (config->listen_texts.count > CONFIG_LISTEN_MAX)
        return err_set(err, -EINVAL, "--listen may be given %d times", CONFIG_LISTEN_MAX);
    config->listen_count = config->listen_texts.count;
    for (int i = 0; i < config->listen_count; i++)
        if (address_parse(config->listen_texts.values[i], &config->listen[i], err) < 0)
            return err_prefix(err, -EINVAL, "--listen");
    if (config->metrics && address_parse(config->metrics, &config->metrics_address, err) < 0)
        return err_prefix(err, -EINVAL, "--metrics");
    return 0;
}

int broker_config_parse(struct broker_config *config, int argc, char **argv, struct err *err)
{
    int rest;
    *config = (struct broker_config){0};
    int code = opts_parse(broker_options, config, argc, argv, &rest, err);
    int parsed = code;
    if (parsed != OPTS_RUN && parsed != OPTS_DESCRIBE)
        return parsed;
    if (rest < argc)
        return err_set(err, -EINVAL, "\"%s\" is no option; this program takes nothing else", argv[rest]);
    code = parse_addresses(config, err);
    if (code == 0)
        code = plan_pools(config, err);
    if (code == 0)
        code = relief_parse(&config->pressure_texts, &config->relief, err);
    if (code == 0)
        code = check_relief(config, err);
    if (code == 0 && config->state && !*config->state)
        code = err_set(err, -EINVAL, "--state: it takes the name of a file");
    if (config->memory_limit_bytes == 0) // the last quarter is for memory that the account does not count
        config->memory_limit_bytes = memory_limit_of_process() / 4 * 3;
    return code < 0 ? code : parsed;
}

void broker_config_print_help(void)
{
    opts_print_help(broker_options, "poolmark-broker", "[OPTION]...",
                    "An MQTT 3.1.1 broker whose connections live in pools of a chosen strategy and shape.",
                    stdout);
    printf("\nSignals: SIGUSR1 prints statistics of connections, messages and pools to stdout, which "
           "--metrics has as\n"
           "well, and with --record bytes by account; SIGTERM and SIGINT end the broker and close its "
           "record.\n\n"
           "Exit code: 0 ended by a signal; 1 it could not start or had to end; 2 wrong call, or\n"
           "the file of --state cannot be used.\n");
}

static void print_strategy(const struct pool_strategy *strategy)
{
    printf("%-8s %s\n", pool_strategy_name(strategy), pool_strategy_summary(strategy));
}

void broker_config_print_pools(const struct broker_config *config)
{
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++)
        print_strategy(*strategy);
    for (int i = 0; i < config->plugins.count; i++)
        print_strategy(&config->plugins.loaded[i].strategy);
}
