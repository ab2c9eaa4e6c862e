// SPDX-License-Identifier: Apache-2.0
// `slab` gives memory back by pieces: a get of another thread waits for one of them, not for the call. The moment
// is the return of a slab to the system, of which this program is told (pool_memory_tell_maps): the thread that gives
// back then holds the grow lock. Also what a preheat that fails leaves behind.
#include "pools/pool_strategy.h"
#include "pools/slab/pool.h"
#include "tests/pool_contract.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { OBJECT_BYTES = 3072, SLABS = 4 };

static struct scene {
    struct pool *pool;
    pthread_t giver, getter;
    bool armed, at_last; // the get begins with the first slab that goes, or with the last
    bool started;
    int slabs;                  // that went
    bool done_at_once;          // the get ended before the giver went on
    bool waited_at_next;        // it still waited when the next slab went
    atomic_int destructs_there; // by the thread that gets
    void *object;
    atomic_bool done;
} scene;

static bool is_waiting(void)
{
    struct slab_store *store = &scene.pool->store;
    pthread_mutex_lock(&store->lock);
    bool waits = store->needy > 0;
    pthread_mutex_unlock(&store->lock);
    return waits;
}

// On the giver's processor, and in no hurry: when it is woken it does not take the processor from the giver, so it gets
// nowhere unless the giver waits for it.
static void *get_one(void *unused)
{
    (void)unused;
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    scene.object = pool_get(scene.pool);
    atomic_store(&scene.done, true);
    return NULL;
}

static void start_the_get(void)
{
    scene.started = true;
    if (pthread_create(&scene.getter, NULL, get_one, NULL) != 0)
        return;
    while (!atomic_load(&scene.done) && !is_waiting())
        sched_yield();
    scene.done_at_once = atomic_load(&scene.done);
}

static void note_unmap(void *block, size_t bytes, bool is_mapped)
{
    (void)block;
    if (is_mapped || !scene.armed || !pthread_equal(pthread_self(), scene.giver) ||
        bytes != scene.pool->store.geometry.slab_bytes)
        return;
    scene.slabs++;
    if (scene.started)
        scene.waited_at_next |= is_waiting();
    else if (!scene.at_last || slab_free(scene.pool) == 0)
        start_the_get();
}

static cpu_set_t processors;

static void stay_on_one_processor(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)sched_getaffinity(0, sizeof processors, &processors);
    (void)sched_setaffinity(0, sizeof one, &one);
}

// A pool with `out` objects out and some slabs full of free ones.
static void set_scene(struct pool_config *config, void **objects, int64_t out)
{
    memset(&scene, 0, sizeof scene);
    scene.pool = contract_open(pool_strategy_find("slab"), config);
    assert_int_equal(pool_preheat(scene.pool, SLABS * scene.pool->store.geometry.capacity), 0);
    contract_get_many(scene.pool, objects, out);
    stay_on_one_processor(); // and the other thread, which is started by this one
    scene.giver = pthread_self();
    scene.armed = true;
}

static void end_scene(void **objects, int64_t out)
{
    scene.armed = false;
    (void)sched_setaffinity(0, sizeof processors, &processors);
    if (scene.object)
        pool_put(scene.pool, scene.object);
    contract_put_many(scene.pool, objects, out);
    contract_close(scene.pool);
}

static struct pool_config config_of(void)
{
    return contract_config(pool_strategy_find("slab"), OBJECT_BYTES, 0, 0);
}

// It has to see that nothing is free, for which it needs the lock that the resize holds.
static void test_a_get_at_a_falling_bound_goes_between_two_pieces(void **state)
{
    (void)state;
    void *objects[3];
    struct pool_config config = config_of();
    set_scene(&config, objects, 3);
    assert_int_equal(pool_resize(scene.pool, 3), 0);
    assert_true(scene.started && scene.slabs >= 3);
    assert_false(scene.done_at_once); // otherwise the race was not there
    assert_false(scene.waited_at_next);
    pthread_join(scene.getter, NULL);
    struct pool_stats stats = contract_counts(scene.pool);
    assert_int_equal(stats.overflow, 1);
    assert_int_equal(stats.owned, 3);
    assert_int_equal(stats.shrinks, 1);
    end_scene(objects, 3);
}

// The bound allows it an object, and many are free.
static void test_a_get_below_a_falling_bound_waits_for_nothing(void **state)
{
    (void)state;
    void *objects[3];
    struct pool_config config = config_of();
    set_scene(&config, objects, 3);
    assert_int_equal(pool_resize(scene.pool, 10), 0);
    assert_true(scene.started && scene.done_at_once);
    pthread_join(scene.getter, NULL);
    struct pool_stats stats = contract_counts(scene.pool);
    assert_int_equal(stats.overflow + stats.refused, 0);
    assert_int_equal(stats.owned, 10);
    end_scene(objects, 3);
}

// The trim took all: who needs an object makes one before the call ends, so that no number of calls keeps it waiting.
static void test_a_get_that_finds_all_trimmed_is_served_before_the_trim_ends(void **state)
{
    (void)state;
    struct pool_config config = config_of();
    set_scene(&config, NULL, 0);
    scene.at_last = true;
    int64_t bytes = pool_trim(scene.pool);
    assert_true(scene.started && !scene.done_at_once);
    assert_false(is_waiting());
    pthread_join(scene.getter, NULL);
    assert_non_null(scene.object);
    assert_true(bytes >= (int64_t)SLABS * scene.pool->store.geometry.capacity * OBJECT_BYTES);
    struct pool_stats stats = contract_counts(scene.pool);
    assert_int_equal(stats.in_use, 1);
    assert_true(stats.owned < scene.pool->store.geometry.capacity);
    assert_int_equal(stats.shrinks, 1);
    end_scene(NULL, 0);
}

static void note_destruct(void *context, void *object)
{
    (void)context;
    (void)object;
    if (scene.armed && pthread_equal(pthread_self(), scene.giver) && !scene.started)
        start_the_get();
    else if (!pthread_equal(pthread_self(), scene.giver))
        atomic_fetch_add(&scene.destructs_there, 1);
}

static void test_a_get_meanwhile_destructs_nothing(void **state)
{
    (void)state;
    void *objects[3];
    struct pool_config config = config_of();
    config.destruct = note_destruct;
    set_scene(&config, objects, 3);
    assert_int_equal(pool_resize(scene.pool, 3), 0);
    assert_true(scene.started);
    pthread_join(scene.getter, NULL);
    assert_int_equal(scene.destructs_there, 0);
    assert_int_equal(contract_counts(scene.pool).owned, 3);
    end_scene(objects, 3);
}

// --- a preheat that fails -------------------------------------------------------------------------------

static int fail_some(void *context, void *object)
{
    int *left = context;
    (void)object;
    return --*left < 0 ? -EIO : 0;
}

// The books after a preheat that failed at some request, or construct, are those before it.
static void check_failed_preheat(struct pool *pool, int *constructs)
{
    int code = -ENOMEM;
    for (int64_t n = 0; code < 0; n++) {
        struct pool_stats before = contract_stats(pool);
        *constructs = constructs && n % 2 ? (int)n * 100 : INT32_MAX;
        pool_memory_fail_after(n, false);
        code = pool_preheat(pool, 2 * pool->store.geometry.capacity);
        pool_memory_fail_after(-1, false);
        struct pool_stats after = contract_stats(pool);
        if (code == 0)
            break;
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(after.owned, before.owned);
        assert_int_equal(after.bytes_owned, before.bytes_owned);
        assert_true(after.peak_bytes_owned >= after.bytes_owned);
    }
}

static void test_a_preheat_that_fails_leaves_the_books_as_they_were(void **state)
{
    (void)state;
    int constructs = INT32_MAX;
    for (int constructed = 0; constructed < 2; constructed++) {
        struct pool_config config = config_of();
        config.initial = 10;
        config.construct = constructed ? fail_some : NULL;
        config.object_context = &constructs;
        struct pool *pool = contract_open(pool_strategy_find("slab"), &config);
        pool_put(pool, pool_get(pool));
        check_failed_preheat(pool, &constructs);
        contract_close(pool);
    }
}

// The register of slabs grew for the seventeenth.
static void test_a_preheat_that_fails_late_gives_back_its_register(void **state)
{
    (void)state;
    struct pool_config config = config_of();
    config.touch = false;
    struct pool *pool = contract_open(pool_strategy_find("slab"), &config), *other;
    int64_t count = 20 * (int64_t)pool->store.geometry.capacity;
    other = contract_open(pool_strategy_find("slab"), &config);
    pool_memory_fail_after(INT64_MAX, false); // counts
    assert_int_equal(pool_preheat(other, count), 0);
    int64_t requests = pool_memory_fail_after(-1, false);
    struct pool_stats before = contract_stats(pool);
    pool_memory_fail_after(requests - 1, false);
    assert_int_equal(pool_preheat(pool, count), -ENOMEM);
    pool_memory_fail_after(-1, false);
    assert_int_equal(contract_stats(pool).owned, before.owned);
    assert_int_equal(contract_stats(pool).bytes_owned, before.bytes_owned);
    contract_close(pool);
    contract_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_get_at_a_falling_bound_goes_between_two_pieces),
        cmocka_unit_test(test_a_get_below_a_falling_bound_waits_for_nothing),
        cmocka_unit_test(test_a_get_that_finds_all_trimmed_is_served_before_the_trim_ends),
        cmocka_unit_test(test_a_get_meanwhile_destructs_nothing),
        cmocka_unit_test(test_a_preheat_that_fails_leaves_the_books_as_they_were),
        cmocka_unit_test(test_a_preheat_that_fails_late_gives_back_its_register),
    };
    pool_memory_tell_maps(note_unmap);
    return cmocka_run_group_tests_name("slab_give_back", tests, NULL, NULL);
}
