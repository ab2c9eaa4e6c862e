// SPDX-License-Identifier: Apache-2.0
// A hot pool under many threads, with a backend that fails, is slow, hangs and breaks: nobody has what
// another has, nothing is lost, bounds hold, and every call ends. For the thread sanitizer.
#include "base/clock.h"
#include "tests/hot_world.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 400 };

static struct hot_world world;
static struct hot_pool *pool;

struct visitor {
    pthread_t thread;
    uint64_t random;
    int rounds, served, failed;
    int64_t timeout_ns;
    const char *const *hosts; // 4 of them
};

static uint32_t next(uint64_t *random, uint32_t below)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*random >> 33) % below);
}

static void *visit(void *context)
{
    struct visitor *visitor = context;
    for (int i = 0; i < visitor->rounds; i++) {
        struct hot_connection *connection;
        const char *host = visitor->hosts[next(&visitor->random, 4)];
        if (hot_checkout(pool, host, visitor->timeout_ns, &connection, NULL) < 0) {
            visitor->failed++;
            continue;
        }
        visitor->served++;
        hot_world_use(&world, connection);
        if (next(&visitor->random, 50) == 0)
            hot_world_make_ill(&world, connection);
        hot_return(pool, connection, next(&visitor->random, 20) ? HOT_WORKS : HOT_BROKEN);
    }
    return NULL;
}

static void visit_all(struct visitor visitors[], int64_t timeout_ns, const char *const *hosts)
{
    for (int i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){
            .random = (uint64_t)i, .rounds = ROUNDS, .timeout_ns = timeout_ns, .hosts = hosts};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
}

static void join_all(struct visitor visitors[])
{
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(visitors[i].thread, NULL), 0);
}

// Connections end early and often, and there are too few.
static struct hot_config config_of_trouble(void)
{
    struct hot_config config = hot_world_config(&world);
    config.total_max = 5;
    config.host_max = 3;
    config.idle_max = 3;
    config.openers = 6;
    config.check_after_ns = 0;
    config.check_every_ns = 1;
    config.sweep_ns = NS_PER_MS;
    config.lifetime_ns = 20 * NS_PER_MS;
    config.idle_ns = 5 * NS_PER_MS;
    config.open_timeout_ns = 3 * NS_PER_MS;
    config.retry_ns = NS_PER_US;
    config.retry_max_ns = NS_PER_MS;
    config.memory_max_bytes = 5 * config.connection_bytes;
    return config;
}

// By the host's clock, where nothing fails: on a busy host an open takes as long as it likes, and none is given up. With
// the limit above each open could be overtaken by the next one, for as long as the host is busy.
static struct hot_config config_by_the_host(void)
{
    struct hot_config config = config_of_trouble();
    config.clock = NULL;
    config.open_timeout_ns = 3600 * NS_PER_S;
    return config;
}

static void open_pool(const struct hot_config *config)
{
    struct err err = {0};
    hot_world_init(&world);
    assert_int_equal(hot_open(&pool, config, &err), 0);
}

static void close_pool(void)
{
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_close(pool, HOT_FOREVER), 0);
    hot_world_destroy(&world);
}

static void check_stats(const struct visitor visitors[])
{
    struct hot_stats stats;
    int64_t served = 0, failed = 0;
    for (int i = 0; i < THREADS; i++) {
        served += visitors[i].served;
        failed += visitors[i].failed;
    }
    hot_stats(pool, &stats);
    assert_int_equal(stats.checkouts, THREADS * ROUNDS);
    assert_int_equal(stats.reused + stats.fresh, served);
    assert_int_equal(stats.timeouts + stats.refused, failed);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.in_use, 0);
    assert_true(stats.peak_total <= 5);
}

static const char *const four_hosts[] = {"a", "b", "c", "d"};
static const char *const one_host[] = {"a", "a", "a", "a"};

static void test_everybody_is_served_when_nothing_fails(void **state)
{
    (void)state;
    struct visitor visitors[THREADS];
    struct hot_config config = config_by_the_host();
    open_pool(&config);
    visit_all(visitors, HOT_FOREVER, four_hosts);
    join_all(visitors);
    check_stats(visitors);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(visitors[i].served, ROUNDS);
    close_pool();
}

static void test_one_connection_goes_round_among_all(void **state)
{
    (void)state;
    struct visitor visitors[THREADS];
    struct hot_config config = config_by_the_host();
    config.total_max = config.host_max = 1;
    open_pool(&config);
    visit_all(visitors, HOT_FOREVER, one_host);
    join_all(visitors);
    check_stats(visitors);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(visitors[i].served, ROUNDS);
    close_pool();
}

// The test is the clock and the weather: time passes, and the backend changes, as it goes round.
static void test_calls_end_whatever_the_backend_does(void **state)
{
    (void)state;
    struct visitor visitors[THREADS];
    struct hot_config config = config_of_trouble();
    struct hot_stats stats;
    uint64_t random = 7;
    open_pool(&config);
    visit_all(visitors, 10 * NS_PER_MS, four_hosts);
    do {
        uint32_t weather = next(&random, 8);
        hot_world_fail(&world, weather == 0 ? -ECONNREFUSED : 0);
        hot_world_hang(&world, weather == 1 ? "*" : weather == 2 ? "b" : NULL);
        if (weather == 3)
            hot_relieve(pool);
        else if (weather == 4)
            hot_sweep(pool);
        hot_world_pass(&world, NS_PER_MS);
        sched_yield();
        hot_stats(pool, &stats);
        assert_true(stats.total <= 5 && stats.idle <= 3);
    } while (stats.checkouts < THREADS * ROUNDS);
    join_all(visitors);
    check_stats(visitors);
    close_pool();
}

static void test_a_drain_ends_every_checkout(void **state)
{
    (void)state;
    struct visitor visitors[THREADS];
    struct hot_config config = config_of_trouble();
    struct hot_stats stats;
    open_pool(&config);
    visit_all(visitors, HOT_FOREVER, four_hosts);
    do {
        hot_world_pass(&world, NS_PER_MS);
        hot_stats(pool, &stats);
    } while (stats.checkouts < ROUNDS);
    hot_world_hang(&world, "*");
    while (hot_drain(pool, 0) < 0) {
        hot_world_hang(&world, NULL);
        hot_world_pass(&world, NS_PER_MS);
    }
    join_all(visitors);
    check_stats(visitors);
    hot_stats(pool, &stats);
    assert_int_equal(stats.total, 0);
    close_pool();
}

static void *warm(void *context)
{
    int *code = context;
    *code = hot_warm(pool, "a", 3, HOT_FOREVER, NULL);
    return NULL;
}

static void test_a_close_wakes_who_warms(void **state)
{
    (void)state;
    struct hot_config config = config_of_trouble();
    pthread_t thread;
    int code = 0;
    open_pool(&config);
    hot_world_hang(&world, "*");
    assert_int_equal(pthread_create(&thread, NULL, warm, &code), 0);
    int64_t guard_ns = hot_await_guard_ns();
    while (hot_world_read(&world, &world.hanging) < 3 && hot_await_goes_on(guard_ns)) {
    }
    assert_int_equal(hot_world_read(&world, &world.hanging), 3); // so the warming thread waits
    assert_int_equal(hot_drain(pool, 0), -ETIMEDOUT);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(code, -ECANCELED);
    close_pool();
}

// --- a close beside a checkout that it ended ------------------------------------------------------------

static pthread_t closer;
static _Thread_local bool comes_back_late;
static sem_t may_come_back;
static atomic_bool came_back;

static int64_t monotonic_ns(void *context)
{
    return hot_clock_monotonic.now_ns(context);
}

// Who was woken comes back when the closer waits too, or has closed the pool.
static void wait_late(void *context, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    if (pthread_equal(pthread_self(), closer))
        sem_post(&may_come_back);
    hot_clock_monotonic.wait(context, cond, mutex, until_ns);
    if (!comes_back_late)
        return;
    pthread_mutex_unlock(mutex);
    while (sem_wait(&may_come_back) != 0)
        ;
    atomic_store(&came_back, true);
    pthread_mutex_lock(mutex);
}

static void *wait_in_vain(void *context)
{
    int *code = context;
    struct hot_connection *connection;
    comes_back_late = true;
    *code = hot_checkout(pool, "a", HOT_FOREVER, &connection, NULL);
    return NULL;
}

static void test_a_close_waits_for_the_checkout_that_it_ended(void **state)
{
    (void)state;
    static const struct hot_clock clock = {.now_ns = monotonic_ns, .wait = wait_late};
    struct hot_config config = hot_world_config(&world);
    pthread_t thread;
    int code = 0;
    closer = pthread_self();
    assert_int_equal(sem_init(&may_come_back, 0, 0), 0);
    config.clock = &clock;
    config.retry_ns = config.retry_max_ns = 3600 * NS_PER_S;
    open_pool(&config);
    hot_world_fail(&world, -ECONNREFUSED);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_vain, &code), 0);
    HOT_AWAIT(pool, open_failures, 1); // no open is tried any more, and there is no connection
    assert_int_equal(hot_close(pool, HOT_FOREVER), 0);
    bool was_awaited = atomic_load(&came_back);
    sem_post(&may_come_back);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(was_awaited);
    assert_int_equal(code, -ECANCELED);
    hot_world_destroy(&world);
    sem_destroy(&may_come_back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_is_served_when_nothing_fails),
        cmocka_unit_test(test_one_connection_goes_round_among_all),
        cmocka_unit_test(test_calls_end_whatever_the_backend_does),
        cmocka_unit_test(test_a_drain_ends_every_checkout),
        cmocka_unit_test(test_a_close_wakes_who_warms),
        cmocka_unit_test(test_a_close_waits_for_the_checkout_that_it_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
