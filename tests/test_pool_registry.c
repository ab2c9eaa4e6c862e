// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_registry.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 6, ROUNDS = 400, NAMES = 3, MOST = 8 };

static struct pool_registry *open_registry(void)
{
    struct pool_registry *registry;
    struct err err = {0};
    assert_int_equal(pool_registry_open(&registry, &err), 0);
    return registry;
}

static void close_registry(struct pool_registry *registry)
{
    struct err err = {0};
    if (pool_registry_close(registry, &err) < 0)
        fail_msg("%s", err.text);
}

static int add(struct pool_registry *registry, const char *strategy, const char *name, struct err *err)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = name;
    config.object_bytes = 64;
    config.initial = 4;
    config.max = 100;
    config.overflow = POOL_OVERFLOW_REFUSE;
    config.growth_mode = POOL_GROW_INLINE;
    (void)pool_config_fit(pool_strategy_find(strategy), &config);
    return pool_registry_add(registry, pool_strategy_find(strategy), &config, err);
}

static void add_well(struct pool_registry *registry, const char *strategy, const char *name)
{
    struct err err = {0};
    if (add(registry, strategy, name, &err) < 0)
        fail_msg("%s", err.text);
}

static void expect_error(int code, int wanted, const struct err *err, const char *word)
{
    assert_int_equal(code, wanted);
    if (!strstr(err->text, word))
        fail_msg("'%s' has no '%s'", err->text, word);
}

static void test_pools_are_made_found_listed_and_removed_by_name(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    struct pool_listing list[MOST];
    struct err err = {0};
    assert_int_equal(pool_registry_list(registry, list, MOST), 0);
    add_well(registry, "slab", "connections");
    add_well(registry, "malloc", "buffers");
    add_well(registry, "sync", "messages");
    expect_error(add(registry, "slab", "buffers", &err), -EEXIST, &err, "buffers");
    struct pool *buffers = pool_registry_find(registry, "buffers");
    assert_string_equal(pool_config_of(buffers)->name, "buffers");
    void *object = pool_get(buffers);
    assert_int_equal(pool_registry_list(registry, list, 2), 3); // more than asked for
    assert_int_equal(pool_registry_list(registry, list, MOST), 3);
    assert_string_equal(list[0].name, "connections");
    assert_string_equal(list[1].name, "buffers");
    assert_ptr_equal(list[1].strategy, pool_strategy_find("malloc"));
    assert_int_equal(list[1].object_bytes, 64);
    assert_int_equal(list[1].references, 1);
    assert_int_equal(list[1].stats.in_use, 1);
    assert_int_equal(list[0].references, 0);
    pool_put(buffers, object);
    pool_registry_release(registry, buffers);
    assert_null(pool_registry_find(registry, "none"));
    assert_null(pool_registry_find(registry, NULL));
    pool_registry_release(registry, NULL);
    assert_int_equal(pool_registry_remove(registry, "messages", 0, &err), 0); // the last: others follow it
    assert_null(pool_registry_find(registry, "messages"));
    add_well(registry, "blocks", "messages");
    assert_int_equal(pool_registry_remove(registry, "connections", 0, &err), 0);
    assert_int_equal(pool_registry_list(registry, list, MOST), 2);
    assert_string_equal(list[1].name, "messages");
    expect_error(pool_registry_remove(registry, "connections", 0, &err), -ENOENT, &err, "connections");
    (void)pool_registry_sweep(registry);
    close_registry(registry);
    assert_int_equal(pool_registry_close(NULL, NULL), 0);
}

static void test_a_name_is_text(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",         "a\nb",         "tab\t",           "\x7f", "\xc2\x85",
        "half\xc3", "\xed\xa0\x80", "\xc0\xaf",        "\xff", "\xf4\x90\x80\x80",
        "\x80",     "\xe2\x82",     "\xf0\x80\x80\x80"};
    static const char *const right[] = {
        "a", "with blank", "a\"b\\c", "\xc3\xa9t\xc3\xa9", "\xe6\xb1\xa0", "\xf0\x9f\x8f\x8a"};
    struct pool_registry *registry = open_registry();
    struct err err = {0};
    char name[POOL_REGISTRY_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_error(add(registry, "malloc", wrong[i], &err), -EINVAL, &err, "name");
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        add_well(registry, "malloc", right[i]);
    memset(name, 'n', sizeof name);
    name[POOL_REGISTRY_NAME_MAX + 1] = '\0';
    expect_error(add(registry, "malloc", name, &err), -EINVAL, &err, "at most 100 bytes");
    name[POOL_REGISTRY_NAME_MAX] = '\0';
    add_well(registry, "malloc", name);
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 8;
    expect_error(pool_registry_add(registry, NULL, &config, &err), -EINVAL, &err, "no such strategy");
    config.object_bytes = 0;
    expect_error(pool_registry_add(registry, pool_strategy_find("slab"), &config, &err), -EINVAL, &err,
                 "object_bytes");
    config.name = NULL;
    expect_error(pool_registry_add(registry, pool_strategy_find("slab"), &config, &err), -EINVAL, &err,
                 "needs a name");
    assert_int_equal(pool_registry_list(registry, NULL, 0), sizeof right / sizeof right[0] + 1);
    close_registry(registry);
}

static void test_a_pool_for_one_thread_is_not_for_a_registry(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct err err = {0};
    config.object_bytes = 8;
    config.threads = POOL_THREADS_ONE;
    expect_error(pool_registry_add(registry, pool_strategy_find("blocks"), &config, &err), -EINVAL, &err,
                 "threads is one");
    assert_int_equal(pool_registry_list(registry, NULL, 0), 0);
    close_registry(registry);
}

static void test_a_bound_is_moved_and_a_pool_is_drained_by_name(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    struct pool_listing list[1];
    struct err err = {0};
    int64_t bytes = -1;
    add_well(registry, "slab", "a");
    struct pool *pool = pool_registry_find(registry, "a");
    void *one = pool_get(pool);
    assert_int_equal(pool_registry_resize(registry, "a", 1, &err), 0);
    assert_null(pool_get(pool));
    assert_int_equal(pool_registry_resize(registry, "a", 2, &err), 0);
    void *two = pool_get(pool);
    assert_non_null(two);
    expect_error(pool_registry_resize(registry, "a", -1, &err), -ERANGE, &err,
                 "pool a: max cannot become -1");
    expect_error(pool_registry_resize(registry, "b", 2, &err), -ENOENT, &err, "no pool b");
    expect_error(pool_registry_drain(registry, "b", &bytes, &err), -ENOENT, &err, "no pool b");
    assert_int_equal(pool_registry_drain(registry, "a", &bytes, &err), 0);
    assert_true(bytes >= 0);
    assert_int_equal(pool_registry_drain(registry, "a", NULL, &err), 0);
    assert_null(pool_get(pool));
    expect_error(pool_registry_resize(registry, "a", 5, &err), -ECANCELED, &err, "pool a");
    assert_int_equal(pool_registry_list(registry, list, 1), 1);
    assert_true(list[0].stats.draining);
    assert_int_equal(list[0].stats.max, 2);
    pool_put(pool, one);
    pool_put(pool, two);
    pool_registry_release(registry, pool);
    assert_int_equal(pool_registry_remove(registry, "a", 0, &err), 0);
    close_registry(registry);
}

static void test_a_pool_in_use_is_not_closed(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    struct err err = {0};
    add_well(registry, "expand", "a");
    struct pool *pool = pool_registry_find(registry, "a"), *again = pool_registry_find(registry, "a");
    assert_ptr_equal(pool, again);
    void *object = pool_get(pool);
    expect_error(pool_registry_remove(registry, "a", 0, &err), -EBUSY, &err, "2 references");
    expect_error(pool_registry_remove(registry, "a", 1000000, &err), -EBUSY, &err, "2 references");
    expect_error(pool_registry_close(registry, &err), -EBUSY, &err, "pool a: 2 references");
    pool_registry_release(registry, again);
    expect_error(pool_registry_remove(registry, "a", 0, &err), -EBUSY, &err, "1 references");
    pool_registry_release(registry, pool);
    expect_error(pool_registry_remove(registry, "a", 1000000, &err), -EBUSY, &err, "1 objects are in use");
    expect_error(pool_registry_close(registry, &err), -EBUSY, &err, "1 objects are in use");
    pool = pool_registry_find(registry, "a"); // it goes on
    assert_non_null(pool);
    pool_put(pool, object);
    pool_registry_release(registry, pool);
#ifndef POOLMARK_CHECK
    pool_registry_release(registry, pool); // one too many
#endif
    assert_int_equal(pool_registry_remove(registry, "a", 0, &err), 0);
    close_registry(registry);
}

struct remover {
    struct pool_registry *registry;
    int64_t wait_ns;
    int code;
};

static void *remove_a(void *context)
{
    struct remover *remover = context;
    remover->code = pool_registry_remove(remover->registry, "a", remover->wait_ns, NULL);
    return NULL;
}

static void test_a_close_waits_for_the_last_reference(void **state)
{
    (void)state;
    static const int64_t waits[] = {-1, INT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        struct pool_registry *registry = open_registry();
        struct remover remover = {.registry = registry, .wait_ns = waits[i], .code = 1};
        struct err err = {0};
        pthread_t thread;
        add_well(registry, "slab", "a");
        struct pool *pool = pool_registry_find(registry, "a");
        void *object = pool_get(pool);
        assert_int_equal(pthread_create(&thread, NULL, remove_a, &remover), 0);
        while (pool_registry_list(registry, NULL, 0) > 0) // until it is being closed
            sched_yield();
        assert_null(pool_registry_find(registry, "a"));
        expect_error(add(registry, "slab", "a", &err), -EEXIST, &err, "a");
        expect_error(pool_registry_remove(registry, "a", 0, &err), -EALREADY, &err, "another thread");
        expect_error(pool_registry_resize(registry, "a", 9, &err), -ENOENT, &err, "a");
        pool_put(pool, object); // the reference keeps it alive
        pool_put(pool, pool_get(pool));
        pool_registry_release(registry, pool);
        pthread_join(thread, NULL);
        assert_int_equal(remover.code, 0);
        add_well(registry, "slab", "a");
        close_registry(registry);
    }
}

static sem_t making, may_go_on;

static int construct_slowly(void *context, void *object)
{
    (void)context;
    (void)object;
    sem_post(&making);
    sem_wait(&may_go_on);
    return 0;
}

static void *add_slowly(void *context)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "slow";
    config.object_bytes = 64;
    config.initial = 1;
    config.construct = construct_slowly;
    return pool_registry_add(context, pool_strategy_find("fixed"), &config, NULL) == 0 ? context : NULL;
}

static void test_a_pool_that_is_being_made_holds_up_nobody(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    struct err err = {0};
    pthread_t thread;
    void *added;
    sem_init(&making, 0, 0);
    sem_init(&may_go_on, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, add_slowly, registry), 0);
    sem_wait(&making);
    assert_null(pool_registry_find(registry, "slow"));
    expect_error(add(registry, "slab", "slow", &err), -EEXIST, &err, "slow");
    expect_error(pool_registry_remove(registry, "slow", -1, &err), -ENOENT, &err, "slow");
    add_well(registry, "slab", "other");
    assert_int_equal(pool_registry_list(registry, NULL, 0), 1);
    sem_post(&may_go_on);
    pthread_join(thread, &added);
    assert_non_null(added);
    assert_int_equal(pool_registry_list(registry, NULL, 0), 2);
    close_registry(registry);
    sem_destroy(&making);
    sem_destroy(&may_go_on);
}

static void test_each_request_of_memory_may_fail(void **state)
{
    (void)state;
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct pool_registry *registry = NULL;
        FILE *to = fopen("/dev/null", "w");
        pool_memory_fail_after(nth, false);
        int code = pool_registry_open(&registry, NULL);
        int added = code < 0 ? code : add(registry, "expand", "a", NULL);
        int page = code < 0 ? code : pool_registry_page(registry, POOL_PAGE_TEXT, to);
        reached = pool_memory_fail_after(-1, false) > nth;
        fclose(to);
        assert_int_equal((code < 0) + (code == 0 && added < 0) + (code == 0 && page < 0), reached);
        assert_true(code == 0 || code == -ENOMEM);
        assert_true(added == 0 || added == -ENOMEM);
        assert_true(page == 0 || page == -ENOMEM);
        if (code == 0)
            assert_int_equal(pool_registry_list(registry, NULL, 0), added == 0);
        assert_int_equal(pool_registry_close(registry, NULL), 0);
    }
}

static char *page_of(struct pool_registry *registry, enum pool_page page)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    assert_int_equal(pool_registry_page(registry, page, to), 0);
    fclose(to);
    return text;
}

static void test_one_page_has_all_pools(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    add_well(registry, "expand", "connections");
    add_well(registry, "sync", "a\"b\\c");
    struct pool *pool = pool_registry_find(registry, "connections");
    void *object = pool_get(pool);
    char *page = page_of(registry, POOL_PAGE_PROMETHEUS);
    assert_non_null(
        strstr(page, "\npoolmark_pool_in_use_objects{pool=\"connections\",strategy=\"expand\"} 1\n"));
    assert_non_null(strstr(page, "\npoolmark_pool_gets_total{pool=\"a\\\"b\\\\c\",strategy=\"sync\"} 0\n"));
    const char *type = strstr(page, "# TYPE poolmark_pool_gets_total counter\n");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE poolmark_pool_gets_total"));
    free(page);
    assert_int_equal(pool_registry_drain(registry, "connections", NULL, NULL), 0);
    page = page_of(registry, POOL_PAGE_TEXT);
    assert_non_null(strstr(page, "\nconnections "));
    assert_non_null(strstr(page, "  draining\na\"b\\c "));
    free(page);
    FILE *full = fopen("/dev/full", "w");
    assert_int_equal(pool_registry_page(registry, POOL_PAGE_TEXT, full), -EIO);
    fclose(full);
    pool_put(pool, object);
    pool_registry_release(registry, pool);
    close_registry(registry);
    registry = open_registry();
    page = page_of(registry, POOL_PAGE_PROMETHEUS);
    assert_non_null(strstr(page, "# HELP poolmark_pool_gets_total "));
    assert_null(strstr(page, "{"));
    free(page);
    close_registry(registry);
}

static void test_there_may_be_as_many_as_the_header_says(void **state)
{
    (void)state;
    struct pool_registry *registry = open_registry();
    struct err err = {0};
    char name[32];
    for (int i = 0; i < POOL_REGISTRY_POOLS_MAX; i++) {
        snprintf(name, sizeof name, "pool-%d", i);
        add_well(registry, "malloc", name);
    }
    expect_error(add(registry, "malloc", "more", &err), -ENOSPC, &err, "4096");
    assert_int_equal(pool_registry_remove(registry, "pool-7", 0, &err), 0);
    add_well(registry, "malloc", "more");
    close_registry(registry);
}

struct crowd {
    struct pool_registry *registry;
    atomic_int numbers, wrong, added, removed;
    _Atomic int64_t objects;
};

static const char *const strategies[] = {"slab", "sync", "expand", "blocks", "malloc", "fixed"};

static void use(struct crowd *crowd, const char *name)
{
    struct pool *pool = pool_registry_find(crowd->registry, name);
    if (!pool)
        return;
    void *objects[4];
    for (int i = 0; i < 4; i++) {
        if ((objects[i] = pool_get(pool)))
            memset(objects[i], i, 64);
    }
    for (int i = 0; i < 4; i++) {
        if (objects[i] && ((unsigned char *)objects[i])[63] != i)
            atomic_fetch_add(&crowd->wrong, 1);
        atomic_fetch_add(&crowd->objects, objects[i] != NULL);
        pool_put(pool, objects[i]);
    }
    if (strcmp(pool_config_of(pool)->name, name) != 0)
        atomic_fetch_add(&crowd->wrong, 1);
    pool_registry_release(crowd->registry, pool);
}

static void manage(struct crowd *crowd, const char *name, int round, int number)
{
    struct pool_listing list[MOST];
    int code = 0;
    switch (round % 6) {
    case 0:
        code = add(crowd->registry, strategies[(round + number) % 6], name, NULL);
        atomic_fetch_add(&crowd->added, code == 0);
        atomic_fetch_add(&crowd->wrong, code != 0 && code != -EEXIST);
        break;
    case 1:
        code = pool_registry_remove(crowd->registry, name, round % 4 == 1 ? 0 : 20000000, NULL);
        atomic_fetch_add(&crowd->removed, code == 0);
        atomic_fetch_add(&crowd->wrong, code != 0 && code != -ENOENT && code != -EBUSY && code != -EALREADY);
        break;
    case 2:
        (void)!pool_registry_resize(crowd->registry, name, 50 + round, NULL);
        break;
    case 3:
        if (round % 60 == 3)
            (void)!pool_registry_drain(crowd->registry, name, NULL, NULL);
        (void)pool_registry_sweep(crowd->registry);
        break;
    case 4:
        atomic_fetch_add(&crowd->wrong, pool_registry_list(crowd->registry, list, MOST) > NAMES);
        break;
    default: {
        char *text = NULL;
        size_t bytes = 0;
        FILE *to = open_memstream(&text, &bytes);
        atomic_fetch_add(&crowd->wrong,
                         pool_registry_page(crowd->registry, (enum pool_page)(round % 2), to) < 0);
        fclose(to);
        free(text);
    }
    }
}

static void *work(void *context)
{
    static const char *const names[NAMES] = {"one", "two", "three"};
    struct crowd *crowd = context;
    int number = atomic_fetch_add(&crowd->numbers, 1);
    for (int round = 0; round < ROUNDS; round++) {
        use(crowd, names[(round + number) % NAMES]);
        manage(crowd, names[round / 6 % NAMES], round + number, number);
    }
    return NULL;
}

static void test_threads_make_use_and_close_pools_of_the_same_names(void **state)
{
    (void)state;
    struct crowd crowd = {.registry = open_registry()};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    assert_true(atomic_load(&crowd.added) > 0);
    assert_int_equal(pool_registry_list(crowd.registry, NULL, 0),
                     atomic_load(&crowd.added) - atomic_load(&crowd.removed));
    struct pool_listing list[MOST];
    int64_t left = pool_registry_list(crowd.registry, list, MOST);
    for (int64_t i = 0; i < left; i++) {
        assert_int_equal(list[i].references, 0);
        assert_int_equal(list[i].stats.in_use, 0);
    }
    close_registry(crowd.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pools_are_made_found_listed_and_removed_by_name),
        cmocka_unit_test(test_a_name_is_text),
        cmocka_unit_test(test_a_pool_for_one_thread_is_not_for_a_registry),
        cmocka_unit_test(test_a_bound_is_moved_and_a_pool_is_drained_by_name),
        cmocka_unit_test(test_a_pool_in_use_is_not_closed),
        cmocka_unit_test(test_a_close_waits_for_the_last_reference),
        cmocka_unit_test(test_a_pool_that_is_being_made_holds_up_nobody),
        cmocka_unit_test(test_each_request_of_memory_may_fail),
        cmocka_unit_test(test_one_page_has_all_pools),
        cmocka_unit_test(test_there_may_be_as_many_as_the_header_says),
        cmocka_unit_test(test_threads_make_use_and_close_pools_of_the_same_names),
    };
    return cmocka_run_group_tests_name("pool_registry", tests, NULL, NULL);
}
