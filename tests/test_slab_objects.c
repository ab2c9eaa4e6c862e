// SPDX-License-Identifier: Apache-2.0
// Constructed objects of strategy slab (pools/slab/policy_construct.c): the program's functions are called
// with no lock held, so that whoever comes meanwhile goes on.
#include "base/clock.h"
#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECT_BYTES = 3072, MANY = 400, BUILT = 0x600D };

// `held`: the next construct or destruct says `waits` and waits for `goes_on`.
struct yard {
    atomic_int constructed, destructed, failed, wrong;
    atomic_bool holds_construct, holds_destruct, fails;
    sem_t waits, goes_on;
    pthread_t only; // the one thread that may construct, when `has_only`
    bool has_only;
};

static void wait_if(struct yard *yard, atomic_bool *holds)
{
    if (!atomic_exchange(holds, false))
        return;
    sem_post(&yard->waits);
    while (sem_wait(&yard->goes_on) < 0)
        ;
}

static int construct(void *context, void *object)
{
    struct yard *yard = context;
    if (atomic_load(&yard->fails)) {
        atomic_fetch_add(&yard->failed, 1);
        return -EIO;
    }
    wait_if(yard, &yard->holds_construct);
    if (yard->has_only && !pthread_equal(pthread_self(), yard->only))
        atomic_fetch_add(&yard->wrong, 1);
    atomic_fetch_add(&yard->wrong, *(int *)object == BUILT);
    *(int *)object = BUILT;
    atomic_fetch_add(&yard->constructed, 1);
    return 0;
}

static void destruct(void *context, void *object)
{
    struct yard *yard = context;
    wait_if(yard, &yard->holds_destruct);
    atomic_fetch_add(&yard->wrong, *(int *)object != BUILT);
    *(int *)object = 0;
    atomic_fetch_add(&yard->destructed, 1);
}

static struct pool *open_pool(struct yard *yard, int64_t initial, int64_t max, enum pool_growth growth)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    struct err err = {0};
    sem_init(&yard->waits, 0, 0);
    sem_init(&yard->goes_on, 0, 0);
    config.object_bytes = OBJECT_BYTES;
    config.initial = initial;
    config.max = max;
    config.overflow = max ? POOL_OVERFLOW_REFUSE : POOL_OVERFLOW_HEAP;
    config.growth_mode = growth;
    config.construct = construct;
    config.destruct = destruct;
    config.object_context = yard;
    assert_int_equal(pool_open(&pool, pool_strategy_find("slab"), &config, &err), 0);
    return pool;
}

static void close_pool(struct pool *pool, struct yard *yard)
{
    assert_true(pool_strategy_of(pool)->is_valid(pool));
    pool_close(pool);
    assert_int_equal(atomic_load(&yard->constructed), atomic_load(&yard->destructed));
    assert_int_equal(atomic_load(&yard->wrong), 0);
    sem_destroy(&yard->waits);
    sem_destroy(&yard->goes_on);
}

static void *get_and_put(void *context)
{
    struct pool *pool = context;
    void *object = pool_get(pool);
    pool_put(pool, object);
    return NULL;
}

static void *trim(void *context)
{
    (void)pool_trim(context);
    return NULL;
}

static void *preheat(void *context)
{
    assert_int_equal(pool_preheat(context, 4), 0);
    return NULL;
}

static void use(struct pool *pool, int count)
{
    void *objects[MANY];
    for (int i = 0; i < count; i++) {
        objects[i] = pool_get(pool);
        assert_non_null(objects[i]);
        assert_int_equal(*(int *)objects[i], BUILT);
    }
    for (int i = 0; i < count; i++)
        pool_put(pool, objects[i]);
}

static pthread_t start_held(struct pool *pool, struct yard *yard, atomic_bool *holds, void *(*run)(void *))
{
    pthread_t thread;
    atomic_store(holds, true);
    assert_int_equal(pthread_create(&thread, NULL, run, pool), 0);
    while (sem_wait(&yard->waits) < 0)
        ;
    return thread;
}

static void release(struct yard *yard, pthread_t thread)
{
    sem_post(&yard->goes_on);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

// What others do meanwhile: gets of all kinds, trim, growth, statistics.
static void test_others_go_on_while_one_constructs(void **state)
{
    (void)state;
    void *(*const ways[])(void *) = {get_and_put, preheat};
    for (size_t way = 0; way < 2; way++) {
        struct yard yard = {0};
        struct pool *pool = open_pool(&yard, 2, 0, POOL_GROW_INLINE);
        void *first[2] = {pool_get(pool), pool_get(pool)};
        pthread_t thread = start_held(pool, &yard, &yard.holds_construct, ways[way]);
        use(pool, MANY);
        assert_true(pool_trim(pool) > 0);
        use(pool, MANY);
        release(&yard, thread);
        pool_put(pool, first[0]);
        pool_put(pool, first[1]);
        close_pool(pool, &yard);
    }
}

// What leaves is owned no more: gets make new objects, up to the bound, beside it.
static void test_others_get_all_there_may_be_while_one_destructs(void **state)
{
    (void)state;
    struct yard yard = {0};
    struct pool *pool = open_pool(&yard, 0, MANY, POOL_GROW_INLINE);
    use(pool, MANY);
    pthread_t thread = start_held(pool, &yard, &yard.holds_destruct, trim);
    use(pool, MANY);
    assert_true(pool_trim(pool) >= 0);
    use(pool, MANY);
    release(&yard, thread);
    (void)pool_trim(pool);
    struct pool_stats stats;
    pool_stats(pool, &stats);
    assert_int_equal(stats.owned, 0);
    assert_int_equal(stats.refused, 0);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    close_pool(pool, &yard);
}

static void test_memory_of_those_that_left_goes_back(void **state)
{
    (void)state;
    struct yard yard = {0};
    struct pool *pool = open_pool(&yard, 0, 0, POOL_GROW_INLINE);
    struct pool_stats before, after;
    pool_stats(pool, &before);
    use(pool, MANY);
    assert_true(pool_trim(pool) >= (int64_t)MANY * OBJECT_BYTES);
    pool_stats(pool, &after);
    assert_int_equal(after.owned, 0);
    assert_true(after.bytes_owned - before.bytes_owned < (int64_t)64 << 10); // rows and magazines at most
    assert_true(after.bytes_allocated >= (int64_t)MANY * OBJECT_BYTES);
    close_pool(pool, &yard);
}

static void test_a_construct_that_failed_is_tried_again(void **state)
{
    (void)state;
    struct yard yard = {0};
    struct pool *pool = open_pool(&yard, 0, 10, POOL_GROW_INLINE);
    struct pool_stats stats;
    atomic_store(&yard.fails, true);
    for (int i = 0; i < 30; i++)
        assert_null(pool_get(pool));
    assert_int_equal(pool_preheat(pool, 0), 0);
    pool_stats(pool, &stats);
    assert_int_equal(stats.failed, 30);
    assert_int_equal(stats.in_use, 0);
    atomic_store(&yard.fails, false);
    use(pool, 10);
    close_pool(pool, &yard);
}

// In a child nobody knows how far the parent's other threads had constructed or destructed something.
static void test_a_child_leaves_alone_what_others_had_in_hand(void **state)
{
    (void)state;
    struct yard yard = {0};
    struct pool *pool = open_pool(&yard, 0, 0, POOL_GROW_INLINE);
    atomic_bool *const holds[] = {&yard.holds_construct, &yard.holds_destruct};
    void *(*const ways[])(void *) = {get_and_put, trim};
    for (size_t way = 0; way < 2; way++) {
        int status;
        (void)pool_trim(pool);
        if (holds[way] == &yard.holds_destruct)
            use(pool, MANY);
        pthread_t thread = start_held(pool, &yard, holds[way], ways[way]);
        pid_t child = fork();
        if (child == 0) {
            use(pool, MANY);
            (void)pool_trim(pool);
            use(pool, MANY);
            pool_close(pool);
            _exit(atomic_load(&yard.wrong));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        release(&yard, thread);
    }
    close_pool(pool, &yard);
}

// An object in the hands of who constructs ahead would be missing at the bound: the last get would be
// refused.
static void test_the_thread_of_a_pool_with_a_bound_does_not_construct(void **state)
{
    (void)state;
    struct yard yard = {.only = pthread_self(), .has_only = true};
    struct pool *pool = open_pool(&yard, 0, MANY, POOL_GROW_BACKGROUND);
    for (int round = 0; round < 50; round++) {
        use(pool, MANY);
        (void)pool_trim(pool);
    }
    struct pool_stats stats;
    pool_stats(pool, &stats);
    assert_int_equal(stats.refused, 0);
    close_pool(pool, &yard);
}

static int await_above(const atomic_int *count, int above)
{
    int64_t guard_ns = clock_now_ns() + 60 * NS_PER_S;
    while (atomic_load(count) <= above && clock_now_ns() < guard_ns)
        sched_yield();
    return atomic_load(count);
}

// Of 100 objects 90 are out, so the thread makes more, and constructs them before any get needs one.
static void test_the_thread_of_a_pool_without_a_bound_constructs_ahead(void **state)
{
    (void)state;
    enum { INITIAL = 100 };
    struct yard yard = {0};
    struct pool *pool = open_pool(&yard, INITIAL, 0, POOL_GROW_BACKGROUND);
    void *objects[INITIAL * 9 / 10];
    int count = sizeof objects / sizeof objects[0];
    for (int i = 0; i < count; i++)
        assert_non_null(objects[i] = pool_get(pool));
    assert_true(await_above(&yard.constructed, INITIAL) > INITIAL);
    while (count > 0)
        pool_put(pool, objects[--count]);
    close_pool(pool, &yard);
}

static void test_a_construct_that_fails_ahead_fails_no_get_later(void **state)
{
    (void)state;
    struct yard yard = {.fails = true};
    struct pool *pool = open_pool(&yard, 0, 0, POOL_GROW_BACKGROUND);
    struct pool_stats stats;
    assert_null(pool_get(pool)); // and notifies the thread, whose construct fails as well
    assert_true(await_above(&yard.failed, 1) > 1);
    atomic_store(&yard.fails, false);
    use(pool, MANY);
    pool_stats(pool, &stats);
    assert_int_equal(stats.failed, 1);
    close_pool(pool, &yard);
}

// The pool's own thread gives back and destructs, beside gets and puts.
static void test_the_threads_of_a_pool_and_of_its_users(void **state)
{
    (void)state;
    struct yard yard = {0};
    struct pool *pool = open_pool(&yard, 10, 0, POOL_GROW_BACKGROUND);
    pthread_t trimmer;
    for (int round = 0; round < 20; round++) {
        use(pool, MANY);
        assert_int_equal(pthread_create(&trimmer, NULL, trim, pool), 0);
        use(pool, MANY);
        assert_int_equal(pthread_join(trimmer, NULL), 0);
    }
    (void)pool_drain(pool);
    (void)pool_sweep(pool);
    close_pool(pool, &yard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_go_on_while_one_constructs),
        cmocka_unit_test(test_others_get_all_there_may_be_while_one_destructs),
        cmocka_unit_test(test_memory_of_those_that_left_goes_back),
        cmocka_unit_test(test_a_construct_that_failed_is_tried_again),
        cmocka_unit_test(test_a_child_leaves_alone_what_others_had_in_hand),
        cmocka_unit_test(test_the_thread_of_a_pool_with_a_bound_does_not_construct),
        cmocka_unit_test(test_the_thread_of_a_pool_without_a_bound_constructs_ahead),
        cmocka_unit_test(test_a_construct_that_fails_ahead_fails_no_get_later),
        cmocka_unit_test(test_the_threads_of_a_pool_and_of_its_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
