// SPDX-License-Identifier: Apache-2.0
#include "loadgen/worker_state.h"

#include <stdio.h>

#define EXPECT_NS (1500 * NS_PER_MS)
#define READ_NS (5 * NS_PER_S)

void worker_topic(const struct worker *worker, char kind, int64_t number, char topic[static 64])
{
    snprintf(topic, 64, "poolmark/%s/%c%lld", worker->setup->prefix, kind, (long long)number);
}

bool worker_is_open(uint8_t client)
{
    return client == CLIENT_OPEN || client == CLIENT_SUBSCRIBING || client == CLIENT_USELESS ||
           client == CLIENT_PROVING || client == CLIENT_CLOSING;
}

// After a stall the answers may still be unread in the sockets, so the worker reads first. A deadline counts
// as passed when a whole step after it brought no event; in constant traffic, READ_NS after it.
bool worker_is_past(const struct worker *worker, int64_t deadline_ns, int64_t now_ns)
{
    if (now_ns < deadline_ns)
        return false;
    return (worker->tick_ns >= deadline_ns && !worker->heard) || now_ns >= deadline_ns + READ_NS;
}

int64_t worker_await_turn(struct worker *worker, int64_t at_ns, int64_t now_ns)
{
    const struct engine *engine = worker->setup->engine;
    if (!engine->expect)
        return at_ns;
    if (at_ns - now_ns > EXPECT_NS)
        return at_ns - EXPECT_NS;
    engine->expect(worker->run);
    return at_ns;
}
