// SPDX-License-Identifier: Apache-2.0
// libpoolmark.a, linked alone, as a program outside this tree does.
#include "pools/pool.h"
#include "pools/pool_inline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// All that the library defines for others.
static const char *const contract[] = {
    "pool_close",
    "pool_config_fit",
    "pool_config_of",
    "pool_drain",
    "pool_get",
    "pool_get_bytes",
    "pool_inline_open_version",
    "pool_open",
    "pool_preheat",
    "pool_put",
    "pool_registry_add",
    "pool_registry_close",
    "pool_registry_drain",
    "pool_registry_find",
    "pool_registry_list",
    "pool_registry_open",
    "pool_registry_page",
    "pool_registry_release",
    "pool_registry_remove",
    "pool_registry_resize",
    "pool_registry_sweep",
    "pool_registry_trim",
    "pool_pressure_close",
    "pool_pressure_look",
    "pool_pressure_open",
    "pool_pressure_relieve",
    "pool_pressure_stats",
    "pool_resize",
    "pool_stats",
    "pool_strategies",
    "pool_strategy_caps",
    "pool_strategy_find",
    "pool_strategy_name",
    "pool_strategy_of",
    "pool_strategy_summary",
    "pool_sweep",
    "pool_thread_slot_cached",
    "pool_trim",
};
enum { CONTRACT = sizeof contract / sizeof contract[0] };

static bool is_of_the_contract(const char *name)
{
    for (size_t i = 0; i < CONTRACT; i++)
        if (strcmp(contract[i], name) == 0)
            return true;
    return false;
}

static void test_it_defines_the_names_of_the_contract_and_no_other(void **state)
{
    (void)state;
    char command[512], line[512], name[256], kind;
    const char *build = getenv("POOLMARK_BUILD");
    int defined = 0;
    snprintf(command, sizeof command, "nm --extern-only --defined-only '%s/libpoolmark.a'",
             build ? build : "build");
    FILE *names = popen(command, "r");
    assert_non_null(names);
    while (fgets(line, sizeof line, names)) {
        if (sscanf(line, "%*x %c %255s", &kind, name) != 2)
            continue;
        if (!is_of_the_contract(name))
            fail_msg("%s is global in libpoolmark.a", name);
        defined++;
    }
    assert_int_equal(pclose(names), 0);
    assert_int_equal(defined, CONTRACT);
}

static void test_every_strategy_works(void **state)
{
    (void)state;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        struct pool_config config = POOL_CONFIG_DEFAULTS;
        struct pool_inline inlined;
        struct pool *pool;
        struct err err = {0};
        config.object_bytes = 100;
        (void)pool_config_fit(*strategy, &config);
        if (pool_open(&pool, *strategy, &config, &err) < 0)
            fail_msg("%s", err.text);
        void *object = pool_get(pool);
        assert_non_null(object);
        pool_put(pool, object);
        (void)pool_inline_open(&inlined, pool);
        object = pool_inline_get(&inlined);
        assert_non_null(object);
        pool_inline_put(&inlined, object);
        pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_defines_the_names_of_the_contract_and_no_other),
        cmocka_unit_test(test_every_strategy_works),
    };
    return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
