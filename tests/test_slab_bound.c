// SPDX-License-Identifier: Apache-2.0
// `slab` whose bound falls between two steps of a put. The steps are told apart by a call between them, which
// this program stands in for (the linker's --wrap=slab_depot_pop).
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "pools/slab/depot.h"

#include <pthread.h>

enum { OBJECT_BYTES = 3072, OUT = 10, LOW = 5, MAX = 40 };

static struct pool *raced;
static bool falls; // the next search for a magazine is the moment

uint32_t __real_slab_depot_pop(struct slab_depot *depot, struct slab_stack *stack);
uint32_t __wrap_slab_depot_pop(struct slab_depot *depot, struct slab_stack *stack);

static void on_another_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *wrong = NULL;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
}

static void *lower(void *unused)
{
    (void)unused;
    return pool_resize(raced, LOW) == 0 ? NULL : raced;
}

uint32_t __wrap_slab_depot_pop(struct slab_depot *depot, struct slab_stack *stack)
{
    if (falls && stack == &depot->empty) {
        falls = false;
        on_another_thread(lower, NULL);
    }
    return __real_slab_depot_pop(depot, stack);
}

static void *get_them(void *objects)
{
    for (int i = 0; i < OUT; i++)
        if (!(((void **)objects)[i] = pool_get(raced)))
            return raced;
    return NULL;
}

static void *get_one(void *object)
{
    *(void **)object = pool_get(raced);
    return NULL;
}

static struct pool *open_with_objects_out(void **objects)
{
    struct pool_config config = contract_config(pool_strategy_find("slab"), OBJECT_BYTES, OUT, MAX);
    config.overflow = POOL_OVERFLOW_REFUSE;
    raced = contract_open(pool_strategy_find("slab"), &config);
    on_another_thread(get_them, objects); // so this thread's row has no magazine yet
    return raced;
}

// The put has looked whether the pool owns too much, and has yet to take a magazine. Its row holds nothing, so
// who lowers the bound does not find it.
static void test_a_put_that_the_bound_overtakes_keeps_nothing(void **state)
{
    (void)state;
    void *objects[OUT], *other = NULL;
    struct pool *pool = open_with_objects_out(objects);
    falls = true;
    pool_put(pool, objects[OUT - 1]);
    assert_false(falls);
    assert_int_equal(contract_counts(pool).owned, OUT - 1);
    assert_null(pool_get(pool));
    on_another_thread(get_one, &other);
    assert_null(other);
    contract_put_many(pool, objects, OUT - 1);
    assert_int_equal(contract_counts(pool).owned, LOW);
    contract_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_put_that_the_bound_overtakes_keeps_nothing),
    };
    return cmocka_run_group_tests_name("slab_bound", tests, NULL, NULL);
}
