// SPDX-License-Identifier: Apache-2.0
// Which pools give back, how much, and what is refused. What the kernel says is in test_pressure_source.c.
#include "pools/pool_strategy.h"
#include "pools/pressure_source.h"
#include "tests/pressure_scene.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define NEVER_REACHED_BYTES (INT64_C(1) << 50)

static void test_the_least_used_give_first_and_only_until_there_is_enough(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene);
    scene.config.bound_bytes = NEVER_REACHED_BYTES;
    scene_add(&scene, "slab", "busy", 5000);
    scene_add(&scene, "fixed", "cannot", 0);
    scene_add(&scene, "slab", "idle", 0);
    scene_add(&scene, "blocks", "some", 500);
    scene_open(&scene);
    int64_t before = scene_owned_bytes(&scene), first = pool_pressure_relieve(scene.pressure, 1);
    assert_true(first >= SCENE_OBJECTS * SCENE_OBJECT_BYTES / 2);
    assert_int_equal(scene.count, 1);
    assert_string_equal(scene.names[0], "idle");
    assert_int_equal(scene.events[0].bytes, first);
    assert_int_equal(scene.events[0].sources, POOL_PRESSURE_CALLER);
    assert_true(scene_owned_bytes(&scene) < before);
    int64_t rest = pool_pressure_relieve(scene.pressure, INT64_MAX);
    assert_int_equal(scene.count, 3);
    assert_string_equal(scene.names[1], "some");
    assert_string_equal(scene.names[2], "busy");
    assert_int_equal(scene.events[2].bytes_back, rest);
    assert_int_equal(scene.events[1].bytes + scene.events[2].bytes, rest);
    assert_true(scene.events[2].at_ns >= scene.events[1].at_ns);
    assert_true(scene.events[1].at_ns >= scene.events[1].began_ns);
    assert_int_equal(pool_pressure_relieve(scene.pressure, 0), 0);
    struct pool_pressure_stats stats = scene_stats(&scene);
    assert_int_equal(stats.trims, 3);
    assert_int_equal(stats.bytes_back, first + rest);
    scene_end(&scene);
}

// A pool that was used a lot, and is not any more, comes to the front within a few looks.
static void test_use_counts_less_with_each_look(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene);
    scene.config.bound_bytes = NEVER_REACHED_BYTES;
    scene_add(&scene, "slab", "once", 7000);
    scene_add(&scene, "slab", "now", 0);
    scene_open(&scene);
    for (int i = 0; i < 5; i++) {
        struct pool *pool = pool_registry_find(scene.registry, "now");
        for (int k = 0; k < 1000; k++)
            pool_put(pool, pool_get(pool));
        pool_registry_release(scene.registry, pool);
        assert_int_equal(pool_pressure_look(scene.pressure), 0); // no pressure
    }
    assert_true(pool_pressure_relieve(scene.pressure, 1) > 0);
    assert_string_equal(scene.names[0], "once");
    assert_int_equal(scene_stats(&scene).looks, 5);
    assert_int_equal(scene.count, 1);
    scene_end(&scene);
}

static void test_above_the_bound_pools_give_back_down_to_below_it(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene);
    scene_add(&scene, "slab", "a", 0);
    scene_add(&scene, "slab", "b", 100);
    int64_t owned = scene_owned_bytes(&scene);
    scene.config.bound_bytes = owned - 1;
    scene_open(&scene);
    assert_int_equal(scene_stats(&scene).sources, POOL_PRESSURE_BOUND);
    assert_true(pool_pressure_look(scene.pressure) > 0);
    assert_int_equal(scene.count, 1);
    assert_string_equal(scene.names[0], "a");
    assert_int_equal(scene.events[0].sources, POOL_PRESSURE_BOUND);
    assert_int_equal(scene.events[0].wanted, owned - (owned - 1 - (owned - 1) / 100 * 5));
    assert_true(scene_owned_bytes(&scene) < owned - owned / 20);
    assert_int_equal(pool_pressure_look(scene.pressure), 0);
    assert_int_equal(scene_stats(&scene).by_bound, 1);
    assert_int_equal(scene_stats(&scene).looks, 2);
    scene_end(&scene);
}

// A strategy without statistics: what it has idle, and how much it is used, is not known.
struct mute_pool {
    struct pool_base base;
    _Atomic int64_t idle_bytes;
};

static int mute_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    struct mute_pool *pool = calloc(1, sizeof *pool);
    (void)config;
    (void)err;
    *opened = (struct pool *)pool;
    return pool ? 0 : -ENOMEM;
}

static void *mute_get(struct pool *pool)
{
    (void)pool;
    return malloc(SCENE_OBJECT_BYTES);
}

static void mute_put(struct pool *pool, void *object)
{
    atomic_fetch_add(&((struct mute_pool *)pool)->idle_bytes, SCENE_OBJECT_BYTES);
    free(object);
}

static int64_t mute_trim(struct pool *pool)
{
    return atomic_exchange(&((struct mute_pool *)pool)->idle_bytes, 0);
}

static void mute_stats(struct pool *pool, struct pool_stats *stats)
{
    (void)pool;
    stats->unknown = true;
}

static void mute_close(struct pool *pool)
{
    free(pool);
}

static const struct pool_strategy mute = {.name = "mute",
                                          .summary = "keeps no statistics",
                                          .caps = POOL_CAP_SHRINKS,
                                          .open = mute_open,
                                          .get = mute_get,
                                          .put = mute_put,
                                          .trim = mute_trim,
                                          .stats = mute_stats,
                                          .close = mute_close};

static void test_a_pool_without_statistics_comes_last(void **state)
{
    (void)state;
    struct scene scene;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "mute";
    config.object_bytes = SCENE_OBJECT_BYTES;
    scene_begin(&scene);
    scene.config.bound_bytes = NEVER_REACHED_BYTES;
    assert_int_equal(pool_registry_add(scene.registry, &mute, &config, NULL), 0);
    scene_add(&scene, "slab", "busy", 5000);
    struct pool *pool = pool_registry_find(scene.registry, "mute");
    pool_put(pool, pool_get(pool));
    pool_registry_release(scene.registry, pool);
    scene_open(&scene);
    assert_true(pool_pressure_relieve(scene.pressure, INT64_MAX) > SCENE_OBJECT_BYTES);
    assert_int_equal(scene.count, 2);
    assert_string_equal(scene.names[0], "busy");
    assert_string_equal(scene.names[1], "mute");
    assert_int_equal(scene.events[1].bytes, SCENE_OBJECT_BYTES);
    scene_end(&scene);
}

static void test_a_pool_is_trimmed_by_name(void **state)
{
    (void)state;
    struct scene scene;
    struct err err = {0};
    int64_t bytes = -1;
    scene_begin(&scene);
    scene_add(&scene, "slab", "a", 0);
    scene_add(&scene, "malloc", "b", 0);
    assert_int_equal(pool_registry_trim(scene.registry, "a", &bytes, &err), 0);
    assert_true(bytes > 0);
    assert_int_equal(pool_registry_trim(scene.registry, "b", &bytes, &err), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(pool_registry_trim(scene.registry, "a", NULL, &err), 0);
    assert_int_equal(pool_registry_trim(scene.registry, "c", &bytes, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no pool c"));
    scene_end(&scene);
}

static void expect_refused(struct scene *scene, int wanted, const char *word)
{
    struct err err = {0};
    struct pool_pressure *pressure = NULL;
    assert_int_equal(pool_pressure_open(&pressure, &scene->config, &err), wanted);
    assert_null(pressure);
    if (!strstr(err.text, word))
        fail_msg("'%s' has no '%s'", err.text, word);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene);
    const struct pool_pressure_config good = scene.config;
    expect_refused(&scene, -ENOTSUP, "nothing to watch");
    scene.config.stall_file = "/nowhere/memory.pressure";
    expect_refused(&scene, -ENOTSUP, "nothing to watch");
    scene.config.group = "/nowhere/group";
    expect_refused(&scene, -EINVAL, "/nowhere/group: no control group");
    scene.config = good;
    scene.config.bound_bytes = -1;
    expect_refused(&scene, -EINVAL, "bound_bytes is -1");
    scene.config.bound_bytes = 1;
    scene.config.group_percent = 101;
    expect_refused(&scene, -EINVAL, "group_percent is 101");
    scene.config.group_percent = 0;
    expect_refused(&scene, -EINVAL, "group_percent is 0");
    scene.config = good;
    scene.config.stall_window_us = 499999;
    expect_refused(&scene, -EINVAL, "stall_window_us is 499999; it must be 500000 to 10000000");
    scene.config.stall_window_us = 500000;
    scene.config.stall_us = 500001;
    expect_refused(&scene, -EINVAL, "stall_us is 500001");
    scene.config = good;
    scene.config.own_thread = true;
    scene.config.every_ns = 999999;
    expect_refused(&scene, -EINVAL, "every_ns is 999999");
    scene.config.registry = NULL;
    expect_refused(&scene, -EINVAL, "registry is missing");
    pool_pressure_close(NULL);
    scene_end(&scene);
}

static void test_each_request_of_memory_may_fail(void **state)
{
    (void)state;
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct scene scene;
        scene_begin(&scene);
        scene.config.bound_bytes = 1;
        scene_add(&scene, "slab", "a", 0);
        pool_memory_fail_after(nth, false);
        int code = pool_pressure_open(&scene.pressure, &scene.config, NULL);
        int64_t bytes = code == 0 ? pool_pressure_look(scene.pressure) : 0;
        reached = pool_memory_fail_after(-1, false) > nth;
        assert_true(code == 0 || code == -ENOMEM);
        assert_true(reached || bytes > 0);
        if (code == 0 && bytes == 0) // the next look does what that one could not
            assert_true(pool_pressure_look(scene.pressure) > 0);
        scene_end(&scene);
    }
}

enum { WORKERS = 3, ROUNDS = 300, HELD = 60, PASSING = 30 };

struct worker {
    struct scene *scene;
    const char *name;
    pthread_t thread;
};

static void *work(void *context)
{
    struct worker *worker = context;
    struct pool *pool = pool_registry_find(worker->scene->registry, worker->name);
    void *objects[HELD];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < HELD; i++)
            memset(objects[i] = pool_get(pool), round, SCENE_OBJECT_BYTES);
        for (int i = 0; i < HELD; i++)
            pool_put(pool, objects[i]);
        if (round % 50 == 0)
            (void)pool_pressure_relieve(worker->scene->pressure, INT64_MAX);
    }
    pool_registry_release(worker->scene->registry, pool);
    return NULL;
}

static void hear_nothing(void *context, const char *name, const struct pool_pressure_event *event)
{
    (void)context;
    (void)name;
    (void)event;
}

static void test_pools_are_used_added_and_removed_meanwhile(void **state)
{
    (void)state;
    static const char *const names[WORKERS] = {"slab", "sync", "blocks"};
    struct scene scene;
    struct worker workers[WORKERS];
    struct pool_listing pools[WORKERS];
    scene_begin(&scene);
    scene.config.bound_bytes = 1;
    scene.config.own_thread = true;
    scene.config.every_ns = NS_PER_MS;
    scene.config.listener = hear_nothing;
    for (int i = 0; i < WORKERS; i++)
        scene_add(&scene, names[i], names[i], 0);
    scene_open(&scene);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.scene = &scene, .name = names[i]};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < PASSING; i++) {
        scene_add(&scene, "slab", "passing", 0);
        assert_int_equal(pool_registry_remove(scene.registry, "passing", 0, NULL), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    struct pool_pressure_stats stats = scene_stats(&scene);
    assert_true(stats.trims > 0 && stats.bytes_back > 0);
    assert_int_equal(pool_registry_list(scene.registry, pools, WORKERS), WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pools[i].stats.in_use, 0);
        assert_int_equal(pools[i].stats.gets, SCENE_OBJECTS + ROUNDS * HELD);
    }
    scene_end(&scene);
}

// --- a close beside a look ------------------------------------------------------------------------------

static pid_t closer; // the thread's number in the system
static atomic_bool closes, is_past, looks;
static sem_t in_look;

// The close gives up its sources: too early when a look is under way.
void __real_pressure_group_close(struct pressure_group *group);
void __wrap_pressure_group_close(struct pressure_group *group);
void __wrap_pressure_group_close(struct pressure_group *group)
{
    atomic_store(&is_past, atomic_load(&looks));
    __real_pressure_group_close(group);
}

static bool closer_sleeps(void)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)closer);
    FILE *file = fopen(path, "r");
    bool is_read = file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
    if (file)
        fclose(file);
    return is_read && state == 'S';
}

static void hear_until_the_close_waits(void *context, const char *name,
                                       const struct pool_pressure_event *event)
{
    (void)context, (void)name, (void)event;
    atomic_store(&looks, true);
    sem_post(&in_look);
    while (!atomic_load(&closes) || !(atomic_load(&is_past) || closer_sleeps()))
        sched_yield();
    atomic_store(&looks, false);
}

static void *look_once(void *scene)
{
    (void)pool_pressure_look(((struct scene *)scene)->pressure);
    return NULL;
}

static void test_a_close_waits_for_a_look_under_way(void **state)
{
    (void)state;
    struct scene scene;
    pthread_t thread;
    scene_begin(&scene);
    scene.config.bound_bytes = 1;
    scene.config.listener = hear_until_the_close_waits;
    scene_add(&scene, "slab", "idle", 0);
    scene_open(&scene);
    closer = (pid_t)syscall(SYS_gettid);
    assert_int_equal(sem_init(&in_look, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, look_once, &scene), 0);
    while (sem_wait(&in_look) != 0)
        ;
    atomic_store(&closes, true);
    pool_pressure_close(scene.pressure);
    bool was_early = atomic_load(&is_past);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(was_early);
    scene.pressure = NULL;
    scene_end(&scene);
    sem_destroy(&in_look);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_used_give_first_and_only_until_there_is_enough),
        cmocka_unit_test(test_use_counts_less_with_each_look),
        cmocka_unit_test(test_above_the_bound_pools_give_back_down_to_below_it),
        cmocka_unit_test(test_a_pool_without_statistics_comes_last),
        cmocka_unit_test(test_a_pool_is_trimmed_by_name),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_each_request_of_memory_may_fail),
        cmocka_unit_test(test_pools_are_used_added_and_removed_meanwhile),
        cmocka_unit_test(test_a_close_waits_for_a_look_under_way),
    };
    return cmocka_run_group_tests_name("pool_pressure", tests, NULL, NULL);
}
