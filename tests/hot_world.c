// SPDX-License-Identifier: Apache-2.0
#include "tests/hot_world.h"

#include "base/clock.h"

#include <errno.h>
#include <fnmatch.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct hot_world_wait {
    struct hot_world_wait *next;
    pthread_cond_t *cond;
    int64_t until_ns;
};

static int64_t now_ns(void *context)
{
    struct hot_world *world = context;
    return atomic_load(&world->now_ns);
}

// Either this sees the new time, or hot_world_pass sees the mutex, and comes to it after the sleep has begun.
static void wait(void *context, pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    struct hot_world *world = context;
    struct hot_world_wait self = {.cond = cond, .until_ns = until_ns}, **at;
    atomic_store(&world->mutex, mutex);
    if (atomic_load(&world->now_ns) >= until_ns)
        return;
    self.next = world->waits;
    world->waits = &self;
    pthread_cond_wait(cond, mutex);
    for (at = &world->waits; *at != &self; at = &(*at)->next) {
    }
    *at = self.next;
}

void hot_world_pass(struct hot_world *world, int64_t ns)
{
    int64_t now = atomic_fetch_add(&world->now_ns, ns) + ns;
    pthread_mutex_t *mutex = atomic_load(&world->mutex);
    if (!mutex)
        return;
    pthread_mutex_lock(mutex);
    for (struct hot_world_wait *wait = world->waits; wait; wait = wait->next) {
        if (wait->until_ns <= now)
            pthread_cond_broadcast(wait->cond);
    }
    pthread_mutex_unlock(mutex);
}

static bool hangs(const struct hot_world *world, const char *host)
{
    return world->hangs_host && fnmatch(world->hangs_host, host, 0) == 0;
}

static int open_one(void *context, const char *host, int64_t until_ns, void **resource)
{
    struct hot_world *world = context;
    (void)until_ns;
    pthread_mutex_lock(&world->lock);
    world->calls++;
    world->hanging++;
    while (hangs(world, host) && world->lets == 0)
        pthread_cond_wait(&world->let_go, &world->lock);
    world->lets -= world->lets > 0;
    world->hanging--;
    int code = world->fail_code;
    struct hot_world_connection *connection = code ? NULL : calloc(1, sizeof *connection);
    if (connection)
        connection->number = ++world->opened;
    else
        world->failed++;
    pthread_mutex_unlock(&world->lock);
    *resource = connection;
    return code ? code : connection ? 0 : -ENOMEM;
}

static void note_wrong(struct hot_world *world)
{
    pthread_mutex_lock(&world->lock);
    world->wrong++;
    pthread_mutex_unlock(&world->lock);
}

static void enter(struct hot_world *world, struct hot_world_connection *connection)
{
    if (atomic_fetch_add(&connection->users, 1) != 0)
        note_wrong(world);
}

static void leave(struct hot_world_connection *connection)
{
    atomic_fetch_sub(&connection->users, 1);
}

static void close_one(void *context, void *resource)
{
    struct hot_world *world = context;
    enter(world, resource);
    pthread_mutex_lock(&world->lock);
    world->closed++;
    pthread_mutex_unlock(&world->lock);
    free(resource);
}

static bool is_healthy(void *context, void *resource)
{
    struct hot_world *world = context;
    struct hot_world_connection *connection = resource;
    enter(world, connection);
    pthread_mutex_lock(&world->lock);
    bool healthy = !world->all_unhealthy && !connection->unhealthy;
    world->asked++;
    pthread_mutex_unlock(&world->lock);
    leave(connection);
    return healthy;
}

void hot_world_use(struct hot_world *world, struct hot_connection *connection)
{
    struct hot_world_connection *resource = hot_resource_of(connection);
    enter(world, resource);
    sched_yield();
    leave(resource);
}

void hot_world_make_ill(struct hot_world *world, struct hot_connection *connection)
{
    struct hot_world_connection *resource = hot_resource_of(connection);
    pthread_mutex_lock(&world->lock);
    resource->unhealthy = true;
    pthread_mutex_unlock(&world->lock);
}

int64_t hot_world_number(struct hot_connection *connection)
{
    struct hot_world_connection *resource = hot_resource_of(connection);
    return resource->number;
}

void hot_world_init(struct hot_world *world)
{
    memset(world, 0, sizeof *world);
    atomic_store(&world->now_ns, 1000 * NS_PER_S);
    world->clock = (struct hot_clock){.now_ns = now_ns, .wait = wait, .context = world};
    assert_int_equal(pthread_mutex_init(&world->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&world->let_go, NULL), 0);
}

void hot_world_destroy(struct hot_world *world)
{
    assert_int_equal(world->wrong, 0);
    assert_int_equal(world->opened, world->closed);
    pthread_cond_destroy(&world->let_go);
    pthread_mutex_destroy(&world->lock);
}

struct hot_config hot_world_config(struct hot_world *world)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    config.resource =
        (struct hot_resource){.open = open_one, .close = close_one, .healthy = is_healthy, .context = world};
    config.clock = &world->clock;
    config.sweep_ns = 0;
    return config;
}

void hot_world_hang(struct hot_world *world, const char *host)
{
    pthread_mutex_lock(&world->lock);
    world->hangs_host = host;
    pthread_cond_broadcast(&world->let_go);
    pthread_mutex_unlock(&world->lock);
}

void hot_world_let(struct hot_world *world, int opens)
{
    pthread_mutex_lock(&world->lock);
    world->lets = opens;
    pthread_cond_broadcast(&world->let_go);
    pthread_mutex_unlock(&world->lock);
}

void hot_world_fail(struct hot_world *world, int code)
{
    pthread_mutex_lock(&world->lock);
    world->fail_code = code;
    pthread_mutex_unlock(&world->lock);
}

int64_t hot_world_read(struct hot_world *world, const int64_t *count)
{
    pthread_mutex_lock(&world->lock);
    int64_t value = *count;
    pthread_mutex_unlock(&world->lock);
    return value;
}

int64_t hot_await_guard_ns(void)
{
    return clock_now_ns() + 250 * NS_PER_S; // below the limit of a test program (scripts/run-tests)
}

bool hot_await_goes_on(int64_t guard_ns)
{
    sched_yield();
    return clock_now_ns() < guard_ns;
}

static void *check_out(void *context)
{
    struct hot_user *user = context;
    user->code = hot_checkout(user->pool, user->host, user->timeout_ns, &user->connection, &user->err);
    atomic_store(&user->done, true);
    return NULL;
}

void hot_user_start(struct hot_user *user, struct hot_pool *pool, const char *host, int64_t timeout_ns)
{
    memset(user, 0, sizeof *user);
    user->pool = pool;
    user->host = host;
    user->timeout_ns = timeout_ns;
    assert_int_equal(pthread_create(&user->thread, NULL, check_out, user), 0);
}

int hot_user_join(struct hot_user *user)
{
    assert_int_equal(pthread_join(user->thread, NULL), 0);
    return user->code;
}
