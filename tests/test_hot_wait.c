// SPDX-License-Identifier: Apache-2.0
// A hot pool whose connections have to be waited for: order, opens that fail, hang or come late, and how many
// are opened for whom.
#include "base/clock.h"
#include "tests/hot_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { CROWD = 40 };

static struct hot_world world;
static struct hot_pool *pool;

static int set_up(void **state)
{
    (void)state;
    hot_world_init(&world);
    pool = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_close(pool, HOT_FOREVER), 0);
    hot_world_destroy(&world);
    return 0;
}

static void open_pool(const struct hot_config *config)
{
    struct err err = {0};
    assert_int_equal(hot_open(&pool, config, &err), 0);
}

static struct hot_connection *take(const char *host)
{
    struct hot_connection *connection;
    struct err err = {0};
    int code = hot_checkout(pool, host, HOT_FOREVER, &connection, &err);
    if (code < 0)
        fail_msg("%s", err.text);
    return connection;
}

static void give(struct hot_connection *connection)
{
    hot_return(pool, connection, HOT_WORKS);
}

// Starts users one by one, each when the one before waits.
static void queue_up(struct hot_user users[], int count, const char *host, int64_t timeout_ns)
{
    struct hot_stats stats;
    hot_stats(pool, &stats);
    for (int i = 0; i < count; i++) {
        hot_user_start(&users[i], pool, host, timeout_ns);
        HOT_AWAIT(pool, waiting, stats.waiting + i + 1);
    }
}

static void expect_failure(struct hot_user users[], int count, int code)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(hot_user_join(&users[i]), code);
}

static void await_count(int64_t *count, int64_t value)
{
    int64_t guard_ns = hot_await_guard_ns();
    while (hot_world_read(&world, count) != value && hot_await_goes_on(guard_ns)) {
    }
    assert_int_equal(hot_world_read(&world, count), value);
}

static void test_waiters_are_served_in_order(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[5];
    config.host_max = 1;
    open_pool(&config);
    struct hot_connection *connection = take("a");
    queue_up(users, 5, "a", HOT_FOREVER);
    for (int i = 0; i < 5; i++) {
        struct hot_connection *barging;
        give(connection);
        assert_int_equal(hot_checkout(pool, "a", 0, &barging, NULL), -ETIMEDOUT);
        assert_int_equal(hot_user_join(&users[i]), 0);
        connection = users[i].connection;
        for (int later = i + 1; later < 5; later++)
            assert_false(atomic_load(&users[later].done));
    }
    give(connection);
}

static void test_who_gives_up_is_passed_over(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[3];
    config.host_max = 1;
    open_pool(&config);
    struct hot_connection *connection = take("a");
    queue_up(users, 1, "a", HOT_FOREVER);
    queue_up(users + 1, 1, "a", NS_PER_S);
    queue_up(users + 2, 1, "a", HOT_FOREVER);
    hot_world_pass(&world, NS_PER_S);
    expect_failure(users + 1, 1, -ETIMEDOUT);
    give(connection);
    assert_int_equal(hot_user_join(&users[0]), 0);
    give(users[0].connection);
    assert_int_equal(hot_user_join(&users[2]), 0);
    give(users[2].connection);
}

static void test_a_waiter_gets_what_is_returned_while_an_open_hangs(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    open_pool(&config);
    struct hot_connection *connection = take("a");
    hot_world_hang(&world, "a");
    queue_up(&user, 1, "a", HOT_FOREVER);
    await_count(&world.hanging, 1);
    give(connection);
    assert_int_equal(hot_user_join(&user), 0);
    assert_ptr_equal(user.connection, connection);
    give(user.connection);
}

static void test_a_waiter_gets_what_is_opened_while_none_is_returned(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    open_pool(&config);
    struct hot_connection *connection = take("a");
    hot_world_hang(&world, "a");
    queue_up(&user, 1, "a", HOT_FOREVER);
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_user_join(&user), 0);
    assert_ptr_not_equal(user.connection, connection);
    give(user.connection);
    give(connection);
}

static void test_a_hanging_open_holds_up_nobody_else(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[CROWD];
    open_pool(&config);
    struct hot_connection *connection = take("a");
    give(connection);
    hot_world_hang(&world, "dead");
    queue_up(users, CROWD, "dead", NS_PER_S);
    for (int i = 0; i < 100; i++)
        give(take("a")); // what is idle
    give(take("b"));     // what has to be opened
    hot_world_pass(&world, NS_PER_S);
    expect_failure(users, CROWD, -ETIMEDOUT);
}

static void test_opens_that_hang_for_ever_leave_openers_for_others(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    open_pool(&config);
    hot_world_hang(&world, "dead");
    queue_up(&user, 1, "dead", HOT_FOREVER);
    for (int i = 1; i <= 2; i++) { // the second after a pause
        await_count(&world.hanging, i);
        hot_world_pass(&world, config.open_timeout_ns);
        hot_sweep(pool);
        HOT_AWAIT(pool, overdue, i);
        hot_world_pass(&world, config.retry_max_ns);
        hot_sweep(pool);
    }
    give(take("b"));
    assert_int_equal(hot_world_read(&world, &world.hanging), 2); // and no more of them
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_user_join(&user), 0);
    HOT_AWAIT(pool, overdue, 0);
    assert_int_equal(hot_world_read(&world, &world.opened), 2 + 1);
    give(user.connection);
}

static void test_a_late_open_is_kept_if_there_is_room(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    config.total_max = 1;
    open_pool(&config);
    hot_world_hang(&world, "slow");
    queue_up(&user, 1, "slow", NS_PER_S);
    await_count(&world.hanging, 1);
    hot_world_pass(&world, config.open_timeout_ns);
    expect_failure(&user, 1, -ETIMEDOUT);
    hot_sweep(pool);
    struct hot_connection *connection = take("b"); // the hanging one does not count any more
    hot_world_hang(&world, NULL);
    HOT_AWAIT(pool, overdue, 0);
    HOT_AWAIT(pool, closed[HOT_END_LATE], 1);
    hot_return(pool, connection, HOT_BROKEN);
    hot_sweep(pool);

    hot_world_hang(&world, "slow");
    queue_up(&user, 1, "slow", NS_PER_S);
    await_count(&world.hanging, 1);
    hot_world_pass(&world, config.open_timeout_ns);
    expect_failure(&user, 1, -ETIMEDOUT);
    hot_sweep(pool);
    hot_world_hang(&world, NULL);
    HOT_AWAIT(pool, idle, 1);
}

static void test_a_failed_open_is_tried_again_after_a_pause_that_doubles(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[3];
    int64_t pause_ns = config.retry_ns;
    open_pool(&config);
    hot_world_fail(&world, -ECONNREFUSED);
    queue_up(users, 3, "a", 3600 * NS_PER_S);
    for (int i = 1; i <= 10; i++) {
        HOT_AWAIT(pool, open_failures, i);
        assert_int_equal(hot_world_read(&world, &world.calls), i); // one at a time, for all waiters
        hot_world_pass(&world, pause_ns - 1);
        hot_sweep(pool);
        assert_int_equal(hot_world_read(&world, &world.calls), i);
        hot_world_pass(&world, 1);
        hot_sweep(pool);
        pause_ns = pause_ns * 2 > config.retry_max_ns ? config.retry_max_ns : pause_ns * 2;
    }
    HOT_AWAIT(pool, open_failures, 11);
    hot_world_fail(&world, 0);
    hot_world_pass(&world, pause_ns);
    hot_sweep(pool);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hot_user_join(&users[i]), 0);
        give(users[i].connection);
    }
}

static void test_at_the_deadline_the_error_says_why_opens_failed(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    open_pool(&config);
    hot_world_fail(&world, -ECONNREFUSED);
    queue_up(&user, 1, "a", NS_PER_S);
    HOT_AWAIT(pool, open_failures, 1);
    hot_world_pass(&world, NS_PER_S);
    expect_failure(&user, 1, -ETIMEDOUT);
    assert_non_null(strstr(user.err.text, "Connection refused"));
}

static void test_with_fail_fast_all_who_wait_get_the_error(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[3];
    config.fail_fast = true;
    open_pool(&config);
    hot_world_fail(&world, -EHOSTUNREACH);
    hot_world_hang(&world, "a");
    queue_up(users, 3, "a", HOT_FOREVER);
    hot_world_hang(&world, NULL);
    expect_failure(users, 3, -EHOSTUNREACH);
    struct hot_connection *connection;
    assert_int_equal(hot_checkout(pool, "a", HOT_FOREVER, &connection, NULL), -EHOSTUNREACH);
    assert_int_equal(hot_world_read(&world, &world.calls), 2); // at once, without a pause
    assert_int_equal(hot_warm(pool, "a", 3, HOT_FOREVER, NULL), -EHOSTUNREACH);
    assert_int_equal(hot_warm(pool, "a", 0, 0, NULL), 0);
    hot_world_fail(&world, 0);
    give(take("a"));
}

// Opens the first connections with an open that takes `open_ns` and a use of `use_ns`.
static void teach(int64_t open_ns, int64_t use_ns)
{
    struct hot_user user;
    hot_world_hang(&world, "a");
    hot_user_start(&user, pool, "a", HOT_FOREVER);
    await_count(&world.hanging, 1);
    hot_world_pass(&world, open_ns);
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_user_join(&user), 0);
    hot_world_pass(&world, use_ns);
    give(user.connection);
}

static void test_one_open_is_enough_for_a_queue_that_is_through_before_it_ends(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[CROWD];
    config.host_max = 50;
    open_pool(&config);
    teach(150 * NS_PER_MS, 2 * NS_PER_MS);
    hot_world_hang(&world, "a");
    struct hot_connection *connection = take("a");
    queue_up(users, CROWD, "a", HOT_FOREVER);
    await_count(&world.hanging, 1);
    for (int i = 0; i < CROWD; i++) {
        hot_world_pass(&world, 2 * NS_PER_MS);
        give(connection);
        assert_int_equal(hot_user_join(&users[i]), 0);
        connection = users[i].connection;
    }
    give(connection);
    assert_int_equal(hot_world_read(&world, &world.calls), 2);
}

static void test_opens_double_while_those_that_come_are_not_enough(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[CROWD];
    config.host_max = 50;
    config.check_after_ns = -1;
    open_pool(&config);
    teach(100 * NS_PER_MS, 50 * NS_PER_MS); // 40 uses within 100 ms: 20 connections
    struct hot_connection *connection = take("a");
    hot_world_hang(&world, "a");
    queue_up(users, CROWD, "a", HOT_FOREVER);
    for (int under_way = 1; under_way <= 8; under_way *= 2) {
        await_count(&world.hanging, under_way);
        HOT_AWAIT(pool, opening, under_way);
        hot_world_pass(&world, 100 * NS_PER_MS);
        hot_world_let(&world, under_way);
    }
    hot_world_hang(&world, NULL);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(hot_user_join(&users[i]), 0);
        give(users[i].connection);
    }
    give(connection);
}

static void test_connections_that_break_while_others_wait_are_replaced_at_once(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[10];
    struct hot_connection *connections[4];
    open_pool(&config);
    assert_int_equal(hot_warm(pool, "a", 4, HOT_FOREVER, NULL), 0);
    for (int i = 0; i < 4; i++)
        connections[i] = take("a");
    assert_int_equal(hot_warm(pool, "a", 0, 0, NULL), 0);
    hot_world_hang(&world, "a");
    queue_up(users, 10, "a", HOT_FOREVER);
    HOT_AWAIT(pool, opening, 1);
    for (int i = 0; i < 3; i++)
        hot_return(pool, connections[i], HOT_BROKEN);
    HOT_AWAIT(pool, opening, 4);
    hot_sweep(pool);
    hot_world_hang(&world, NULL);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(hot_user_join(&users[i]), 0);
        give(users[i].connection);
    }
    give(connections[3]);
}

static void test_an_open_that_nobody_waits_for_any_more_is_left_out(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[2];
    config.openers = 1;
    open_pool(&config);
    struct hot_connection *connection = take("a");
    hot_world_hang(&world, "b");
    queue_up(users, 1, "b", HOT_FOREVER); // has the only opener
    await_count(&world.hanging, 1);
    queue_up(users + 1, 1, "a", HOT_FOREVER);
    HOT_AWAIT(pool, opening, 2);
    give(connection);
    assert_int_equal(hot_user_join(&users[1]), 0);
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_user_join(&users[0]), 0);
    HOT_AWAIT(pool, opening, 0);
    assert_int_equal(hot_world_read(&world, &world.opened), 2);
    give(users[0].connection);
    give(users[1].connection);
}

static void test_a_drain_sends_waiters_away_and_outlasts_a_hanging_open(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user users[3];
    open_pool(&config);
    hot_world_hang(&world, "a");
    queue_up(users, 3, "a", HOT_FOREVER);
    await_count(&world.hanging, 1);
    assert_int_equal(hot_drain(pool, 0), -ETIMEDOUT);
    expect_failure(users, 3, -ECANCELED);
    hot_world_hang(&world, NULL);
    assert_int_equal(hot_drain(pool, HOT_FOREVER), 0);
    struct hot_stats stats;
    hot_stats(pool, &stats);
    assert_int_equal(stats.closed[HOT_END_DRAIN], 1);
    assert_int_equal(stats.refused, 3);
}

static void test_the_keeper_sweeps_retries_and_closes_by_itself(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    config.sweep_ns = NS_PER_S;
    config.total_max = 1;
    config.idle_ns = 10 * NS_PER_S;
    open_pool(&config);
    hot_world_fail(&world, -ECONNREFUSED);
    queue_up(&user, 1, "a", HOT_FOREVER);
    HOT_AWAIT(pool, open_failures, 1);
    hot_world_fail(&world, 0);
    hot_world_pass(&world, config.retry_ns);
    assert_int_equal(hot_user_join(&user), 0);
    hot_return(pool, user.connection, HOT_BROKEN);
    await_count(&world.closed, 1);
    give(take("b"));
    give(take("a")); // the keeper closes what makes room
    await_count(&world.closed, 2);
    hot_world_pass(&world, 10 * NS_PER_S);
    await_count(&world.closed, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_waiters_are_served_in_order),
        TEST(test_who_gives_up_is_passed_over),
        TEST(test_a_waiter_gets_what_is_returned_while_an_open_hangs),
        TEST(test_a_waiter_gets_what_is_opened_while_none_is_returned),
        TEST(test_a_hanging_open_holds_up_nobody_else),
        TEST(test_opens_that_hang_for_ever_leave_openers_for_others),
        TEST(test_a_late_open_is_kept_if_there_is_room),
        TEST(test_a_failed_open_is_tried_again_after_a_pause_that_doubles),
        TEST(test_at_the_deadline_the_error_says_why_opens_failed),
        TEST(test_with_fail_fast_all_who_wait_get_the_error),
        TEST(test_one_open_is_enough_for_a_queue_that_is_through_before_it_ends),
        TEST(test_opens_double_while_those_that_come_are_not_enough),
        TEST(test_connections_that_break_while_others_wait_are_replaced_at_once),
        TEST(test_an_open_that_nobody_waits_for_any_more_is_left_out),
        TEST(test_a_drain_sends_waiters_away_and_outlasts_a_hanging_open),
        TEST(test_the_keeper_sweeps_retries_and_closes_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
