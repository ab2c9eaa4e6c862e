// SPDX-License-Identifier: Apache-2.0
#include "tests/hot_caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct caller caller;

int caller_set_up(void **state)
{
    (void)state;
    hot_world_init(&caller.world);
    caller.pool = NULL;
    return 0;
}

void caller_open(const struct hot_config *config)
{
    struct err err = {0};
    assert_int_equal(hot_open(&caller.pool, config, &err), 0);
}

int caller_tear_down(void **state)
{
    (void)state;
    assert_int_equal(hot_close(caller.pool, 0), 0);
    hot_world_destroy(&caller.world);
    return 0;
}

struct hot_connection *caller_take(const char *host)
{
    struct hot_connection *connection;
    struct err err = {0};
    int code = hot_checkout(caller.pool, host, HOT_FOREVER, &connection, &err);
    if (code < 0)
        fail_msg("%s", err.text);
    hot_world_use(&caller.world, connection);
    return connection;
}

void caller_give(struct hot_connection *connection)
{
    hot_return(caller.pool, connection, HOT_WORKS);
}

void caller_take_many(struct hot_connection *connections[], int count, const char *host)
{
    for (int i = 0; i < count; i++)
        connections[i] = caller_take(host);
}

void caller_give_many(struct hot_connection *connections[], int count)
{
    for (int i = 0; i < count; i++)
        caller_give(connections[i]);
}

int caller_try(const char *host)
{
    struct hot_connection *connection;
    int code = hot_checkout(caller.pool, host, 0, &connection, NULL);
    if (code == 0)
        caller_give(connection);
    return code;
}

struct hot_stats caller_stats(void)
{
    struct hot_stats stats;
    hot_stats(caller.pool, &stats);
    return stats;
}
