// SPDX-License-Identifier: Apache-2.0
// The states of the model of the hot pool: memory that can be copied as a whole, and which of them are one.
#include "tests/model/hot_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hot_state pool;
struct arena arena;
struct hot_host *hosts[HOSTS];
bool in_step;

void save(unsigned char *state)
{
    memcpy(state, (unsigned char *)&pool + POOL_FROM, POOL_BYTES);
    memcpy(state + POOL_BYTES, &arena, sizeof arena);
}

void restore(const unsigned char *state)
{
    memcpy((unsigned char *)&pool + POOL_FROM, state, POOL_BYTES);
    memcpy(&arena, state + POOL_BYTES, sizeof arena);
}

// --- memory: through the linker's --wrap

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void __real_free(void *block);
void __wrap_free(void *block);

void *__wrap_calloc(size_t count, size_t bytes)
{
    if (!in_step)
        return __real_calloc(count, bytes);
    if (bytes == sizeof(struct hot_connection)) {
        for (int i = 0; i < SLOTS; i++) {
            if (!arena.connections[i].used) {
                arena.connections[i].used = 1;
                return &arena.connections[i].connection;
            }
        }
        abort(); // SLOTS is too small
    }
    for (int i = 0; i < HOSTS; i++) {
        if (!arena.hosts[i].used) {
            arena.hosts[i].used = 1;
            return arena.hosts[i].bytes;
        }
    }
    abort();
}

void __wrap_free(void *block)
{
    for (int i = 0; in_step && i < SLOTS; i++) {
        if (block == &arena.connections[i].connection) {
            memset(&arena.connections[i], 0, sizeof arena.connections[i]);
            return;
        }
    }
    __real_free(block);
}

void normalise(void)
{
    uint64_t tickets[THREADS], least = 0;
    memset(&pool.stats, 0, sizeof pool.stats);
    pool.round = 0;
    pool.retry_ns = INT64_MAX;
    for (int i = 0; i < setup.hosts; i++) {
        hosts[i]->planned_round = 0;
        hosts[i]->failures = hosts[i]->failures > 0;
        hosts[i]->last_code = 0;
        hosts[i]->failed_ns = 0;
        hosts[i]->open_ns = hosts[i]->use_ns = 1; // so that connections wanted = waiters
        hosts[i]->last_open_ns = 1;
        hosts[i]->hungry_ns = NOW_NS;
    }
    for (int i = 0; i < SLOTS; i++) {
        struct hot_connection *connection = &arena.connections[i].connection;
        connection->uses = 0;
        connection->reason = 0;
        connection->checked_ns = arena.connections[i].used ? NOW_NS - 1 : 0;
    }
    for (int t = 0; t < THREADS; t++) {
        tickets[t] = 0;
        for (int other = 0; other < THREADS && arena.threads[t].ticket; other++)
            tickets[t] +=
                arena.threads[other].ticket && arena.threads[other].ticket <= arena.threads[t].ticket;
        least += arena.threads[t].ticket > 0;
    }
    for (int t = 0; t < THREADS; t++) {
        arena.threads[t].ticket = tickets[t];
        if (arena.threads[t].pc == WAITING)
            arena.threads[t].waiter.ticket = tickets[t];
    }
    pool.next_ticket = least + 1;
}

static int never_open(void *context, const char *host, int64_t until_ns, void **resource)
{
    (void)context, (void)host, (void)until_ns, (void)resource;
    return -ENOSYS;
}

static void never_close(void *context, void *resource)
{
    (void)context, (void)resource;
}

static bool always_healthy(void *context, void *resource)
{
    (void)context, (void)resource;
    return true;
}

void begin(void)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    config.resource = (struct hot_resource){
        .open = never_open, .close = never_close, .healthy = setup.checks ? always_healthy : NULL};
    config.total_max = setup.total_max;
    config.host_max = setup.host_max;
    config.idle_max = setup.idle_max;
    config.fail_fast = setup.fail_fast;
    config.check_after_ns = config.check_every_ns = 1;
    config.idle_ns = config.lifetime_ns = 0;
    memset(&arena, 0, sizeof arena);
    if (hot_state_init(&pool, &config) < 0)
        abort();
    in_step = true;
    for (int i = 0; i < setup.hosts; i++)
        hosts[i] = hot_host_hold(&pool, i ? "b" : "a"); // never released
    in_step = false;
    for (int t = 0; t < THREADS; t++)
        arena.threads[t] =
            (struct thread){.pc = t < setup.threads ? AT_REST : DONE, .left = setup.operations};
    normalise();
}
