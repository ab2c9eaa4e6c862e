// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "bench/hot/hot_bench.h"

#include <errno.h>
#include <stdlib.h>

enum { LOOK_NS = 1000000 };

int backend_open(struct backend *backend, int64_t until_ns, struct backend_connection **connection)
{
    int64_t ready_ns = clock_now_ns() + atomic_load(&backend->connect_ns);
    atomic_fetch_add(&backend->tries, 1);
    clock_sleep_until_ns(ready_ns < until_ns ? ready_ns : until_ns);
    while (atomic_load(&backend->state) == BACKEND_HANGS && clock_now_ns() < until_ns)
        clock_sleep_until_ns(clock_now_ns() + LOOK_NS);
    if (atomic_load(&backend->state) == BACKEND_REFUSES)
        return -ECONNREFUSED;
    if (ready_ns > until_ns || atomic_load(&backend->state) == BACKEND_HANGS)
        return -ETIMEDOUT;
    *connection = malloc(sizeof **connection);
    if (!*connection)
        return -ENOMEM;
    **connection = (struct backend_connection){backend, atomic_load(&backend->era)};
    atomic_fetch_add(&backend->opened, 1);
    return 0;
}

void backend_close(struct backend_connection *connection)
{
    atomic_fetch_add(&connection->backend->closed, 1);
    free(connection);
}

bool backend_works(const struct backend_connection *connection)
{
    return atomic_load(&connection->backend->state) == BACKEND_WORKS &&
           atomic_load(&connection->backend->era) == connection->era;
}
