// SPDX-License-Identifier: Apache-2.0
// The broker's command line: the configuration derived from it, and the errors for bad values.
#include "base/clock.h"
#include "broker/config.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { ARGUMENTS_MAX = 140 };

static int parse(struct broker_config *config, struct err *err, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "poolmark-broker"};
    int argc = 1;
    for (; arguments[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    return broker_config_parse(config, argc, argv, err);
}

#define PARSE(config, ...) parse_fine((config), (const char *const[]){__VA_ARGS__, NULL})
static void parse_fine(struct broker_config *config, const char *const *arguments)
{
    struct err err = {0};
    if (parse(config, &err, arguments) != OPTS_RUN)
        fail_msg("%s", err.text);
}

#define REFUSED(words, ...) assert_refused((words), (const char *const[]){__VA_ARGS__, NULL})
static void assert_refused(const char *words, const char *const *arguments)
{
    struct broker_config config;
    struct err err = {0};
    assert_int_equal(parse(&config, &err, arguments), -EINVAL);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static const char *strategy_of(const struct broker_config *config, enum broker_pool pool)
{
    return pool_strategy_name(config->pools[pool].strategy);
}

static void without_options_it_is_a_lean_broker_on_the_loopback(void **state)
{
    (void)state;
    struct broker_config config;
    char text[ADDRESS_TEXT_BYTES];
    PARSE(&config, NULL);
    assert_int_equal(config.threads, 1);
    assert_int_equal(config.listen_count, 1);
    assert_string_equal(address_format(&config.listen[0], text), "127.0.0.1:1883");
    assert_int_equal(config.max_connections, 0);
    assert_int_equal(config.sweep_every_ns, NS_PER_S);
    assert_false(config.shape.eager);
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        assert_string_equal(strategy_of(&config, (enum broker_pool)i), "malloc");
        assert_int_equal(config.pools[i].config.initial, 0);
        assert_int_equal(config.pools[i].config.max, 0);
    }
}

static void a_strategy_is_for_all_pools_or_for_one(void **state)
{
    (void)state;
    struct broker_config config;
    PARSE(&config, "--pool", "messages=malloc", "--pool", "expand", "--pool", "buffers=sync");
    assert_string_equal(strategy_of(&config, POOL_CONNECTIONS), "expand");
    assert_string_equal(strategy_of(&config, POOL_BUFFERS), "sync");
    assert_string_equal(strategy_of(&config, POOL_ARENAS), "expand");
    assert_string_equal(strategy_of(&config, POOL_MESSAGES), "malloc");
}

static void initial_and_max_are_the_connections_unless_named(void **state)
{
    (void)state;
    struct broker_config config;
    PARSE(&config, "--pool", "expand", "--initial", "2k", "--max", "10k", "--initial", "buffers=64", "--max",
          "buffers=128", "--overflow", "refuse");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.initial, 2000);
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.max, 10000);
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.overflow, POOL_OVERFLOW_REFUSE);
    assert_int_equal(config.pools[POOL_BUFFERS].config.initial, 64);
    assert_int_equal(config.pools[POOL_BUFFERS].config.max, 128);
    assert_int_equal(config.pools[POOL_BUFFERS].config.overflow, POOL_OVERFLOW_REFUSE);
    assert_int_equal(config.pools[POOL_ARENAS].config.initial, 0);
    assert_int_equal(config.pools[POOL_ARENAS].config.max, 0);
    assert_int_equal(config.pools[POOL_ARENAS].config.overflow, POOL_OVERFLOW_HEAP);
}

static void a_preheating_pool_starts_with_1024_connections_or_its_max(void **state)
{
    (void)state;
    struct broker_config config;
    PARSE(&config, "--pool", "expand");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.initial, 1024);
    PARSE(&config, "--pool", "expand", "--max", "1000");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.initial, 1000);
    PARSE(&config, "--pool", "expand", "--initial", "0");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.initial, 0);
}

static void one_command_line_serves_every_strategy(void **state)
{
    (void)state;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        struct broker_config config;
        struct pool_set *pools;
        struct err err = {0};
        if (pool_strategy_caps(*strategy) & POOL_CAP_SHARES)
            continue;
        PARSE(&config, "--pool", pool_strategy_name(*strategy), "--initial", "32", "--max", "100", "--expand",
              "background", "--shape", "classic");
        if (pool_set_open(&pools, config.pools, BROKER_POOL_COUNT, &err) < 0)
            fail_msg("%s: %s", pool_strategy_name(*strategy), err.text);
        pool_set_close(pools);
    }
}

// A strategy without a bound would take every client, and whoever asked for refusals would never know.
static void a_refusal_that_cannot_come_is_refused_and_says_which_strategies_can(void **state)
{
    (void)state;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        const char *name = pool_strategy_name(*strategy);
        struct broker_config config;
        struct err err = {0};
        unsigned caps = pool_strategy_caps(*strategy);
        if (caps & POOL_CAP_SHARES)
            continue;
        int bounded =
            parse(&config, &err,
                  (const char *const[]){"--pool", name, "--max", "10", "--overflow", "refuse", NULL});
        assert_int_equal(bounded, caps & POOL_CAP_BOUNDED ? OPTS_RUN : -EINVAL);
        if (caps & POOL_CAP_BOUNDED)
            continue;
        assert_non_null(strstr(err.text, name));
        for (const struct pool_strategy *const *other = pool_strategies(); *other; other++)
            if (pool_strategy_caps(*other) & POOL_CAP_BOUNDED &&
                !strstr(err.text, pool_strategy_name(*other)))
                fail_msg("\"%s\" does not name %s", err.text, pool_strategy_name(*other));
        REFUSED("no pool has a bound", "--pool", name, "--overflow", "refuse");
    }
    REFUSED("strategy malloc of pool connections knows no bound", "--max", "10", "--overflow", "refuse");
    struct broker_config config;
    PARSE(&config, "--pool", "arenas=expand", "--max", "arenas=5", "--overflow",
          "refuse"); // another pool can
    assert_int_equal(config.pools[POOL_ARENAS].config.overflow, POOL_OVERFLOW_REFUSE);
}

static void a_pool_has_one_value_of_each_kind(void **state)
{
    (void)state;
    REFUSED("--pool slab: that pool has a value already", "--pool", "malloc", "--pool", "slab");
    REFUSED("--pool buffers=slab", "--pool", "buffers=malloc", "--pool", "slab", "--pool", "buffers=slab");
    REFUSED("--max 20", "--pool", "expand", "--max", "10", "--max", "20");
    REFUSED("--initial connections=2", "--pool", "expand", "--initial", "1", "--initial", "connections=2");
}

static void the_shape_gives_the_objects_their_sizes(void **state)
{
    (void)state;
    struct broker_config config;
    PARSE(&config, "--shape", "object=512,read=1024,write=2048,arena=700,lazy");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.object_bytes, 512);
    assert_int_equal(config.pools[POOL_BUFFERS].config.object_bytes, 2048);
    assert_int_equal(config.pools[POOL_ARENAS].config.object_bytes, 700);
}

static void growth_and_touch_reach_the_pools(void **state)
{
    (void)state;
    struct broker_config config;
    PARSE(&config, "--pool", "expand", "--expand-at", "70", "--growth", "2", "--expand", "background",
          "--no-touch");
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        assert_int_equal(config.pools[i].config.expand_at_percent, 70);
        assert_true(config.pools[i].config.growth == 2.0);
        assert_int_equal(config.pools[i].config.growth_mode, POOL_GROW_BACKGROUND);
        assert_false(config.pools[i].config.touch);
    }
}

static void growth_may_be_by_the_load_where_the_strategy_can(void **state)
{
    (void)state;
    struct broker_config config;
    PARSE(&config, "--pool", "expand", "--pool", "messages=blocks", "--growth", "adaptive");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.growth_rule, POOL_RULE_ADAPTIVE);
    assert_true(config.pools[POOL_CONNECTIONS].config.growth == 1.5);
    assert_int_equal(config.pools[POOL_MESSAGES].config.growth_rule, POOL_RULE_FACTOR);
    PARSE(&config, "--pool", "slab", "--growth", "adaptive:3");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.growth_rule, POOL_RULE_ADAPTIVE);
    assert_true(config.pools[POOL_CONNECTIONS].config.growth == 3.0);
    PARSE(&config, "--pool", "slab");
    assert_int_equal(config.pools[POOL_CONNECTIONS].config.growth_rule, POOL_RULE_FACTOR);
    static const char *const wrong[] = {"1",         "1001",       "1,5",   "nan",       "2x",  "",   "-2",
                                        "adaptive:", "adaptive:1", "adapt", "adaptive2", "inf", "1e2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        REFUSED("--growth", "--growth", wrong[i]);
}

static void addresses_may_be_many_and_of_either_family(void **state)
{
    (void)state;
    struct broker_config config;
    char text[ADDRESS_TEXT_BYTES];
    PARSE(&config, "--listen", "127.0.0.2:0", "--listen", "[::1]:1884", "--listen", ":1885", "--metrics",
          "127.0.0.1:9100");
    assert_int_equal(config.listen_count, 3);
    assert_string_equal(address_format(&config.listen[0], text), "127.0.0.2:0");
    assert_string_equal(address_format(&config.listen[1], text), "[::1]:1884");
    assert_string_equal(address_format(&config.listen[2], text), "127.0.0.1:1885");
    assert_string_equal(address_format(&config.metrics_address, text), "127.0.0.1:9100");
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    REFUSED("--listen", "--listen", "127.0.0.1");
    REFUSED("\"here:1883\"", "--listen", "here:1883");
    REFUSED("127.0.0.1:99999", "--listen", "127.0.0.1:99999");
    REFUSED("--metrics", "--metrics", "9100");
    REFUSED("\"fancy\"", "--pool", "fancy");
    REFUSED("benchmarks only", "--pool", "null");
    REFUSED("\"sockets\"", "--pool", "sockets=malloc");
    REFUSED("\"many\"", "--initial", "many");
    REFUSED("\"-1\"", "--max", "-1");
    REFUSED("--max", "--pool", "expand", "--initial", "20", "--max", "10");
    REFUSED("knows no bound", "--pool", "malloc", "--max", "connections=10");
    REFUSED("keeps no objects ready", "--pool", "malloc", "--initial", "buffers=10");
    REFUSED("--threads", "--threads", "0");
    REFUSED("--overflow", "--overflow", "panic");
    REFUSED("--shape", "--shape", "fat");
    REFUSED("\"extra\"", "extra");
}

static void pressure_has_sources_and_needs_a_pool_that_gives_back(void **state)
{
    (void)state;
    struct broker_config config;
    char folder[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE], group[TEMP_PATH_SIZE + 8];
    PARSE(&config, "--pool", "slab");
    assert_int_equal(config.relief.sources, 0);
    PARSE(&config, "--pool", "messages=slab", "--pressure", "bound=64MiB");
    assert_int_equal(config.relief.sources, POOL_PRESSURE_BOUND);
    assert_int_equal(config.relief.bound_bytes, 64 << 20);
    PARSE(&config, "--pool", "sync", "--pressure", "system", "--pressure", "stall");
    assert_int_equal(config.relief.sources, POOL_PRESSURE_GROUP | POOL_PRESSURE_STALL);
    assert_int_equal(config.relief.needed, POOL_PRESSURE_STALL);
    assert_null(config.relief.group_folder);
    temp_dir_make(folder);
    FILE *current = fopen(temp_dir_file(folder, "memory.current", file), "w");
    assert_non_null(current);
    fputs("1000\n", current);
    fclose(current);
    snprintf(group, sizeof group, "group=%s", folder);
    PARSE(&config, "--pool", "blocks", "--pressure", group);
    assert_string_equal(config.relief.group_folder, folder);
    temp_dir_remove(folder);
    REFUSED("neither memory.current nor", "--pool", "slab", "--pressure", group);
    REFUSED("stall=/dev/null: no file of pressure stall", "--pool", "slab", "--pressure", "stall=/dev/null");
    REFUSED("group=: it takes", "--pool", "slab", "--pressure", "group=");
    REFUSED("bound=0: it takes a number of bytes above 0", "--pool", "slab", "--pressure", "bound=0");
    REFUSED("bound=much", "--pool", "slab", "--pressure", "bound=much");
    REFUSED("bound=: it takes", "--pool", "slab", "--pressure", "bound");
    REFUSED("system takes no value", "--pool", "slab", "--pressure", "system=1");
    REFUSED("no such source; they are system", "--pool", "slab", "--pressure", "swap");
    REFUSED("bound is given twice", "--pool", "slab", "--pressure", "bound=1", "--pressure", "bound=2");
    REFUSED("no pool gives memory back; --pool sync, blocks", "--pool", "expand", "--pressure", "bound=1MiB");
}

static void too_many_addresses_are_refused(void **state)
{
    (void)state;
    const char *arguments[2 * (CONFIG_LISTEN_MAX + 1) + 1];
    for (int i = 0; i <= CONFIG_LISTEN_MAX; i++) {
        arguments[2 * i] = "--listen";
        arguments[2 * i + 1] = "127.0.0.1:0";
    }
    arguments[2 * (CONFIG_LISTEN_MAX + 1)] = NULL;
    assert_refused("--listen", arguments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_it_is_a_lean_broker_on_the_loopback),
        cmocka_unit_test(a_strategy_is_for_all_pools_or_for_one),
        cmocka_unit_test(initial_and_max_are_the_connections_unless_named),
        cmocka_unit_test(a_preheating_pool_starts_with_1024_connections_or_its_max),
        cmocka_unit_test(one_command_line_serves_every_strategy),
        cmocka_unit_test(a_refusal_that_cannot_come_is_refused_and_says_which_strategies_can),
        cmocka_unit_test(a_pool_has_one_value_of_each_kind),
        cmocka_unit_test(the_shape_gives_the_objects_their_sizes),
        cmocka_unit_test(growth_and_touch_reach_the_pools),
        cmocka_unit_test(growth_may_be_by_the_load_where_the_strategy_can),
        cmocka_unit_test(addresses_may_be_many_and_of_either_family),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(pressure_has_sources_and_needs_a_pool_that_gives_back),
        cmocka_unit_test(too_many_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
