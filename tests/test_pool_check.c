// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_check.h"

#include "pools/pool_strategy.h"
#include "tests/death.h"
#include "tests/pool_contract.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 64 };

struct table {
    struct pool_check *check;
    unsigned char object[BYTES], other[BYTES];
};

static void puts_twice(void *argument)
{
    struct table *table = argument;
    pool_check_got(table->check, table->object, BYTES);
    pool_check_put(table->check, table->object);
    pool_check_put(table->check, table->object);
}

static void puts_what_was_never_got(void *argument)
{
    struct table *table = argument;
    pool_check_got(table->check, table->object, BYTES);
    pool_check_put(table->check, table->other);
}

static void gives_to_two(void *argument)
{
    struct table *table = argument;
    pool_check_got(table->check, table->object, BYTES);
    pool_check_got(table->check, table->object, BYTES);
}

static void closes_too_early(void *argument)
{
    struct table *table = argument;
    pool_check_got(table->check, table->object, BYTES);
    pool_check_got(table->check, table->other, BYTES);
    pool_check_put(table->check, table->other);
    pool_check_close(table->check);
}

static void check_death(void (*body)(void *), const char *what)
{
    struct table table = {.check = pool_check_open("connections", true)};
    const void *object = body == puts_what_was_never_got ? table.other : table.object;
    char said[4096], line[256];
    snprintf(line, sizeof line, "pool 'connections': object %p %s\n", object, what);
    assert_int_equal(death_of(body, &table, said, sizeof said), SIGABRT);
    assert_non_null(strstr(said, line));
    pool_check_close(table.check);
}

static void test_an_object_put_twice_ends_the_process(void **state)
{
    (void)state;
    check_death(puts_twice, "put twice");
}

static void test_a_foreign_object_ends_the_process(void **state)
{
    (void)state;
    check_death(puts_what_was_never_got, "put, which this pool never gave");
}

static void test_an_object_with_two_owners_ends_the_process(void **state)
{
    (void)state;
    check_death(gives_to_two, "given to two owners");
}

static void test_closing_with_objects_out_ends_the_process(void **state)
{
    (void)state;
    check_death(closes_too_early, "still out: closed with 1 object out");
}

static void finds_it_invalid(void *argument)
{
    (void)argument;
    pool_check_valid("connections", true, "after open");
    pool_check_valid("connections", false, "at close");
}

static void test_broken_invariants_end_the_process(void **state)
{
    (void)state;
    char said[4096];
    assert_int_equal(death_of(finds_it_invalid, NULL, said, sizeof said), SIGABRT);
    assert_non_null(strstr(said, "pool 'connections': its invariants do not hold at close\n"));
}

static void test_proper_use_is_silent(void **state)
{
    (void)state;
    struct pool_check *check = pool_check_open("quiet", true);
    enum { COUNT = 5000 };
    unsigned char *objects = calloc(COUNT, BYTES);
    assert_non_null(objects);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            pool_check_got(check, objects + i * BYTES, BYTES);
        assert_int_equal(pool_check_out(check), COUNT);
        for (int i = COUNT - 1; i >= 0; i--)
            pool_check_put(check, objects + i * BYTES);
        assert_int_equal(pool_check_out(check), 0);
    }
    pool_check_close(check);
    pool_check_close(NULL);
    free(objects);
}

static void test_objects_are_filled_when_got_and_when_put(void **state)
{
    (void)state;
    struct pool_check *check = pool_check_open("filled", true);
    unsigned char object[BYTES + 1] = {0};
    pool_check_got(check, object, BYTES);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(object[i], POOL_CHECK_GOT);
    pool_check_put(check, object);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(object[i], POOL_CHECK_PUT);
    assert_int_equal(object[BYTES], 0);
    pool_check_close(check);
}

struct share {
    struct pool_check *check;
    unsigned char objects[200][BYTES];
};

static void *works_on_its_share(void *argument)
{
    struct share *share = argument;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 200; i++)
            pool_check_got(share->check, share->objects[i], BYTES);
        for (int i = 0; i < 200; i++)
            pool_check_put(share->check, share->objects[i]);
    }
    return NULL;
}

static void test_eight_threads_at_once(void **state)
{
    (void)state;
    static struct share shares[8];
    struct pool_check *check = pool_check_open("eight", true);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        shares[i].check = check;
        assert_int_equal(pthread_create(&threads[i], NULL, works_on_its_share, &shares[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(pool_check_out(check), 0);
    pool_check_close(check);
}

#ifdef POOLMARK_CHECK

static struct pool *open_pool(const struct pool_strategy *strategy)
{
    struct pool_config config = contract_config(strategy, 128, 4, 0);
    return contract_open(strategy, &config);
}

static void puts_twice_through_the_pool(void *argument)
{
    struct pool *pool = argument;
    void *object = pool_get(pool);
    pool_put(pool, object);
    pool_put(pool, object);
}

static void puts_a_foreign_pointer_through_the_pool(void *argument)
{
    struct pool *pool = argument;
    int not_an_object = 0;
    void *object = pool_get(pool);
    pool_put(pool, &not_an_object);
    pool_put(pool, object);
}

static void closes_the_pool_too_early(void *argument)
{
    struct pool *pool = argument;
    void *object = pool_get(pool);
    pool_close(pool);
    pool_put(pool, object);
}

static void test_every_strategy_is_checked_in_a_checked_build(void **state)
{
    (void)state;
    static const struct {
        void (*body)(void *);
        const char *what;
    } misuses[] = {
        {puts_twice_through_the_pool, "put twice"},
        {puts_a_foreign_pointer_through_the_pool, "which this pool never gave"},
        {closes_the_pool_too_early, "closed with 1 object out"},
    };
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        if (pool_strategy_caps(*strategy) & POOL_CAP_SHARES)
            continue;
        for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) {
            struct pool *pool = open_pool(*strategy);
            char said[4096];
            assert_int_equal(death_of(misuses[i].body, pool, said, sizeof said), SIGABRT);
            assert_non_null(strstr(said, "pool 'contract': object "));
            assert_non_null(strstr(said, misuses[i].what));
            pool_close(pool);
        }
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_object_put_twice_ends_the_process),
        cmocka_unit_test(test_a_foreign_object_ends_the_process),
        cmocka_unit_test(test_an_object_with_two_owners_ends_the_process),
        cmocka_unit_test(test_closing_with_objects_out_ends_the_process),
        cmocka_unit_test(test_broken_invariants_end_the_process),
        cmocka_unit_test(test_proper_use_is_silent),
        cmocka_unit_test(test_objects_are_filled_when_got_and_when_put),
#ifdef POOLMARK_CHECK
        cmocka_unit_test(test_every_strategy_is_checked_in_a_checked_build),
#endif
        cmocka_unit_test(test_eight_threads_at_once),
    };
    return cmocka_run_group_tests_name("pool_check", tests, NULL, NULL);
}
