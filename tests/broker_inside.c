// SPDX-License-Identifier: Apache-2.0
#include "tests/broker_inside.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { ARGUMENTS_MAX = 32 };

uint16_t broker_inside_port(const struct address *address)
{
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

void broker_inside_start(struct broker_inside *inside, const char *argument, ...)
{
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "poolmark-broker", (char *)(uintptr_t) "--listen",
                                 (char *)(uintptr_t) "127.0.0.1:0"};
    int argc = 3;
    va_list rest;
    va_start(rest, argument);
    for (; argument && argc < ARGUMENTS_MAX - 1; argument = va_arg(rest, const char *))
        argv[argc++] = (char *)(uintptr_t)argument;
    va_end(rest);
    struct err err = {0};
    struct address address[CONFIG_LISTEN_MAX];
    if (broker_config_parse(&inside->config, argc, argv, &err) < 0 ||
        broker_open(&inside->broker, &inside->config, NULL, NULL, &err) < 0 ||
        broker_start(inside->broker, address, &err) < 0)
        fail_msg("the broker does not start: %s", err.text);
    inside->address = address[0];
    inside->port = broker_inside_port(&address[0]);
}

void broker_inside_end(struct broker_inside *inside)
{
    struct broker_statistics statistics;
    broker_stop(inside->broker);
    broker_statistics(inside->broker, &statistics);
    assert_int_equal(statistics.connections, 0);
    assert_int_equal(statistics.sessions, 0);
    assert_int_equal(statistics.subscriptions, 0);
    assert_int_equal(statistics.pools[POOL_CONNECTIONS].in_use, 0);
    assert_int_equal(statistics.pools[POOL_BUFFERS].in_use, 0);
    assert_int_equal(statistics.pools[POOL_ARENAS].in_use, 0);
    assert_in_range(statistics.pools[POOL_MESSAGES].in_use, 0, statistics.retained);
    for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
        if (kind != ACCOUNT_RETAINED && kind != ACCOUNT_MESSAGES && kind != ACCOUNT_RESERVE)
            assert_int_equal(statistics.memory.bytes[kind], 0);
    if (statistics.retained == 0)
        assert_int_equal(statistics.memory.sum, 0);
    broker_close(inside->broker);
}
