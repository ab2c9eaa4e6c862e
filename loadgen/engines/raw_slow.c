// SPDX-License-Identifier: Apache-2.0
// Readers that do not read, or slowly. Their sockets are in the epoll set without EPOLLIN: the kernel's buffers fill, the
// window closes, and the rest stays with the target. Errors and the end of both directions are still told.
#include "loadgen/engines/raw_state.h"

#include "base/clock.h"

#define TURN_NS (20 * NS_PER_MS) // between two turns of reading

void raw_read_at(struct engine_run *run, int64_t bytes_per_s)
{
    bool slow = bytes_per_s != ENGINE_READ_ALL;
    run->read_per_s = bytes_per_s;
    run->slow_since_ns = run->slow_read_ns = clock_now_ns();
    run->slow_allowed = 0;
    for (int64_t i = 0; i < run->config.clients; i++) {
        struct raw_client *client = &run->clients[i];
        if (client->state != RAW_OPEN)
            continue;
        client->flags = (uint8_t)(slow ? client->flags | RAW_SLOW : client->flags & ~RAW_SLOW);
        raw_watch(run, client);
    }
}

int64_t raw_next_slow_read(const struct engine_run *run)
{
    return run->read_per_s > 0 ? run->slow_read_ns + TURN_NS : INT64_MAX;
}

void raw_read_slowly(struct engine_run *run, int64_t now_ns)
{
    if (now_ns < raw_next_slow_read(run))
        return;
    int64_t allowed = (int64_t)((double)run->read_per_s * (double)(now_ns - run->slow_since_ns) / 1e9);
    int64_t more = allowed - run->slow_allowed;
    run->slow_read_ns = now_ns;
    if (more < 1)
        return;
    run->slow_allowed = allowed;
    for (int64_t i = 0; i < run->config.clients; i++)
        if (run->clients[i].state == RAW_OPEN && (run->clients[i].flags & RAW_SLOW))
            raw_read_some(run, &run->clients[i], more < RAW_SCRATCH ? (size_t)more : RAW_SCRATCH);
}
