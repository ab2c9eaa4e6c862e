// SPDX-License-Identifier: Apache-2.0
// Opening, resizing, draining, sweeping and closing a pool take time, so they are done without the lock. An
// entry that is being made or closed stays in the list: its name is taken, and nobody finds it. A call about a
// pool that is no reference of the user's counts as a visitor, and a close waits for those: they are short.
#include "pools/pool_registry.h"

#include "base/clock.h"
#include "base/err.h"
#include "pools/pool_page.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum entry_state { ENTRY_MAKING, ENTRY_OPEN, ENTRY_CLOSING };

struct entry {
    struct entry *next;
    struct pool *pool; // NULL while it is being made or closed
    enum entry_state state;
    int64_t references, visitors;
    pthread_mutex_t managing; // held by one resize or drain at a time
    char name[POOL_REGISTRY_NAME_MAX + 1];
};

struct pool_registry {
    pthread_mutex_t lock;   // guards all below
    pthread_cond_t changed; // references or visitors of an entry became fewer
    struct entry *first, **end;
    int64_t count;
};

// Length of the valid character at `at`, or 0: no UTF-8 (RFC 3629), or a control character.
static size_t character_bytes(const unsigned char *at)
{
    static const struct {
        unsigned char first, last, second_least, second_most;
        size_t bytes;
    } forms[] = {
        {0x20, 0x7E, 0, 0, 1},       {0xC2, 0xC2, 0xA0, 0xBF, 2}, {0xC3, 0xDF, 0x80, 0xBF, 2},
        {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4},
        {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (at[0] < forms[f].first || at[0] > forms[f].last)
            continue;
        if (forms[f].bytes > 1 && (at[1] < forms[f].second_least || at[1] > forms[f].second_most))
            return 0;
        for (size_t i = 2; i < forms[f].bytes; i++) {
            if ((at[i] & 0xC0) != 0x80)
                return 0;
        }
        return forms[f].bytes;
    }
    return 0;
}

static int check_name(const char *name, struct err *err)
{
    if (!name || !*name)
        return err_set(err, -EINVAL, "a pool needs a name");
    size_t length = strnlen(name, POOL_REGISTRY_NAME_MAX + 1);
    if (length > POOL_REGISTRY_NAME_MAX)
        return err_set(err, -EINVAL, "pool %.20s...: a name has at most %d bytes", name,
                       POOL_REGISTRY_NAME_MAX);
    for (size_t at = 0; at < length;) {
        size_t bytes = character_bytes((const unsigned char *)name + at);
        if (bytes == 0)
            return err_set(err, -EINVAL,
                           "a pool's name is UTF-8 without control characters; byte %zu of the %zu is %02x",
                           at + 1, length, (unsigned)(unsigned char)name[at]);
        at += bytes;
    }
    return 0;
}

static struct entry *entry_of(struct pool_registry *registry, const char *name)
{
    for (struct entry *entry = registry->first; name && entry; entry = entry->next) {
        if (strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

static struct entry *open_entry(struct pool_registry *registry, const char *name)
{
    struct entry *entry = entry_of(registry, name);
    return entry && entry->state == ENTRY_OPEN ? entry : NULL;
}

static int no_such_pool(const char *name, struct err *err)
{
    return err_set(err, -ENOENT, "there is no pool %.*s", POOL_REGISTRY_NAME_MAX, name ? name : "(null)");
}

static void take_out(struct pool_registry *registry, struct entry *entry)
{
    struct entry **at = &registry->first;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (registry->end == &entry->next)
        registry->end = at;
    registry->count--;
}

static void free_entry(struct entry *entry)
{
    pthread_mutex_destroy(&entry->managing);
    pool_memory_free(entry);
}

static struct entry *visit(struct pool_registry *registry, const char *name)
{
    pthread_mutex_lock(&registry->lock);
    struct entry *entry = open_entry(registry, name);
    if (entry)
        entry->visitors++;
    pthread_mutex_unlock(&registry->lock);
    return entry;
}

static void leave(struct pool_registry *registry, struct entry *entry)
{
    pthread_mutex_lock(&registry->lock);
    if (--entry->visitors == 0)
        pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
}

int pool_registry_open(struct pool_registry **opened, struct err *err)
{
    struct pool_registry *registry = pool_memory_alloc(sizeof *registry);
    pthread_condattr_t attributes;
    if (!registry)
        return err_set(err, -ENOMEM, "a registry of pools: out of memory");
    *registry = (struct pool_registry){.first = NULL};
    registry->end = &registry->first;
    pthread_mutex_init(&registry->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *opened = registry;
    return 0;
}

// Is anybody still using the pool of this entry? Then -EBUSY. Of a strategy without statistics only the references
// are known.
static int check_unused(const struct entry *entry, struct err *err)
{
    struct pool_stats stats;
    if (entry->references > 0)
        return err_set(err, -EBUSY, "pool %s: %lld references are not released", entry->name,
                       (long long)entry->references);
    pool_stats(entry->pool, &stats);
    if (stats.in_use > 0)
        return err_set(err, -EBUSY, "pool %s: %lld objects are in use", entry->name, (long long)stats.in_use);
    return 0;
}

int pool_registry_close(struct pool_registry *registry, struct err *err)
{
    if (!registry)
        return 0;
    for (struct entry *entry = registry->first; entry; entry = entry->next) {
        int code = check_unused(entry, err);
        if (code < 0)
            return code;
    }
    for (struct entry *entry = registry->first, *next; entry; entry = next) {
        next = entry->next;
        pool_close(entry->pool);
        free_entry(entry);
    }
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->lock);
    pool_memory_free(registry);
    return 0;
}

// Takes the name. The entry is not found until its pool is there.
static int add_entry(struct pool_registry *registry, struct entry *entry, struct err *err)
{
    int code = 0;
    pthread_mutex_lock(&registry->lock);
    if (entry_of(registry, entry->name)) {
        code = err_set(err, -EEXIST, "pool %s: there is one of that name", entry->name);
    } else if (registry->count == POOL_REGISTRY_POOLS_MAX) {
        code = err_set(err, -ENOSPC, "pool %s: there are %d already", entry->name, POOL_REGISTRY_POOLS_MAX);
    } else {
        *registry->end = entry;
        registry->end = &entry->next;
        registry->count++;
    }
    pthread_mutex_unlock(&registry->lock);
    return code;
}

int pool_registry_add(struct pool_registry *registry, const struct pool_strategy *strategy,
                      const struct pool_config *config, struct err *err)
{
    int code = check_name(config->name, err);
    if (code < 0)
        return code;
    if (!strategy)
        return err_set(err, -EINVAL, "pool %s: there is no such strategy", config->name);
    // Who lists, sweeps or looks for pressure uses every pool, and may do so on a thread of its own.
    if (config->threads == POOL_THREADS_ONE)
        return err_set(err, -EINVAL, "pool %s: threads is one, but any thread may use a pool of a registry",
                       config->name);
    struct entry *entry = pool_memory_alloc(sizeof *entry);
    if (!entry)
        return err_set(err, -ENOMEM, "pool %s: out of memory", config->name);
    *entry = (struct entry){.state = ENTRY_MAKING};
    pthread_mutex_init(&entry->managing, NULL);
    memcpy(entry->name, config->name, strlen(config->name) + 1);
    code = add_entry(registry, entry, err);
    if (code < 0) {
        free_entry(entry);
        return code;
    }
    struct pool *pool = NULL;
    code = pool_open(&pool, strategy, config, err);
    pthread_mutex_lock(&registry->lock);
    entry->pool = pool;
    entry->state = ENTRY_OPEN;
    if (code < 0)
        take_out(registry, entry);
    pthread_mutex_unlock(&registry->lock);
    if (code < 0)
        free_entry(entry);
    return code;
}

struct pool *pool_registry_find(struct pool_registry *registry, const char *name)
{
    pthread_mutex_lock(&registry->lock);
    struct entry *entry = open_entry(registry, name);
    struct pool *pool = entry ? entry->pool : NULL;
    if (entry)
        entry->references++;
    pthread_mutex_unlock(&registry->lock);
    return pool;
}

void pool_registry_release(struct pool_registry *registry, struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&registry->lock);
    struct entry *entry = registry->first;
    while (entry && entry->pool != pool)
        entry = entry->next;
    bool known = entry && entry->references > 0;
    if (known && --entry->references == 0)
        pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
#ifdef POOLMARK_CHECK
    if (!known) {
        fprintf(stderr, "pool_registry_release: a pool that nobody has a reference to\n");
        abort();
    }
#endif
}

int pool_registry_resize(struct pool_registry *registry, const char *name, int64_t max, struct err *err)
{
    struct entry *entry = visit(registry, name);
    if (!entry)
        return no_such_pool(name, err);
    pthread_mutex_lock(&entry->managing);
    int code = pool_resize(entry->pool, max);
    pthread_mutex_unlock(&entry->managing);
    if (code < 0)
        (void)err_set(err, code, "pool %s: max cannot become %lld: %s", entry->name, (long long)max,
                      strerror(-code));
    leave(registry, entry);
    return code;
}

int pool_registry_drain(struct pool_registry *registry, const char *name, int64_t *bytes, struct err *err)
{
    struct entry *entry = visit(registry, name);
    if (!entry)
        return no_such_pool(name, err);
    pthread_mutex_lock(&entry->managing);
    int64_t given_back = pool_drain(entry->pool);
    pthread_mutex_unlock(&entry->managing);
    leave(registry, entry);
    if (bytes)
        *bytes = given_back;
    return 0;
}

int pool_registry_trim(struct pool_registry *registry, const char *name, int64_t *bytes, struct err *err)
{
    struct entry *entry = visit(registry, name);
    if (!entry)
        return no_such_pool(name, err);
    pthread_mutex_lock(&entry->managing);
    int64_t given_back = pool_trim(entry->pool);
    pthread_mutex_unlock(&entry->managing);
    leave(registry, entry);
    if (bytes)
        *bytes = given_back;
    return 0;
}

// The next open entry after `entry` (NULL: the first), visited. The visit of `entry` ends.
static struct entry *visit_next(struct pool_registry *registry, struct entry *entry)
{
    pthread_mutex_lock(&registry->lock);
    struct entry *next = entry ? entry->next : registry->first;
    while (next && next->state != ENTRY_OPEN)
        next = next->next;
    if (next)
        next->visitors++;
    if (entry && --entry->visitors == 0)
        pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
    return next;
}

int64_t pool_registry_sweep(struct pool_registry *registry)
{
    int64_t bytes = 0;
    for (struct entry *entry = NULL; (entry = visit_next(registry, entry));)
        bytes += pool_sweep(entry->pool);
    return bytes;
}

// Waits, with the lock, until nobody has a reference or the time is over; then for the visitors.
static void await_unused(struct pool_registry *registry, const struct entry *entry, int64_t wait_ns)
{
    int64_t now_ns = clock_now_ns();
    int64_t until_ns = wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
    struct timespec until = clock_deadline(until_ns);
    int code = wait_ns == 0 ? ETIMEDOUT : 0;
    while (entry->references > 0 && code != ETIMEDOUT) {
        code = wait_ns < 0 ? pthread_cond_wait(&registry->changed, &registry->lock)
                           : pthread_cond_timedwait(&registry->changed, &registry->lock, &until);
    }
    while (entry->visitors > 0)
        pthread_cond_wait(&registry->changed, &registry->lock);
}

int pool_registry_remove(struct pool_registry *registry, const char *name, int64_t wait_ns, struct err *err)
{
    pthread_mutex_lock(&registry->lock);
    struct entry *entry = entry_of(registry, name);
    int code = 0;
    if (!entry || entry->state == ENTRY_MAKING)
        code = no_such_pool(name, err);
    else if (entry->state == ENTRY_CLOSING)
        code = err_set(err, -EALREADY, "pool %s: another thread is closing it", entry->name);
    if (code == 0) {
        entry->state = ENTRY_CLOSING;
        await_unused(registry, entry, wait_ns);
        code = check_unused(entry, err);
        if (code < 0)
            entry->state = ENTRY_OPEN;
    }
    struct pool *pool = code == 0 ? entry->pool : NULL;
    if (code == 0)
        entry->pool = NULL; // its address may soon be that of another entry's pool
    pthread_mutex_unlock(&registry->lock);
    if (code < 0)
        return code;
    // Nobody else has the entry: its state keeps it from being found.
    pool_close(pool);
    pthread_mutex_lock(&registry->lock);
    take_out(registry, entry);
    pthread_mutex_unlock(&registry->lock);
    free_entry(entry);
    return 0;
}

static void list_entry(struct pool_registry *registry, struct entry *entry, struct pool_listing *to)
{
    memcpy(to->name, entry->name, sizeof to->name);
    to->strategy = pool_strategy_of(entry->pool);
    to->object_bytes = pool_config_of(entry->pool)->object_bytes;
    pool_stats(entry->pool, &to->stats);
    pthread_mutex_lock(&registry->lock);
    to->references = entry->references;
    pthread_mutex_unlock(&registry->lock);
}

int64_t pool_registry_list(struct pool_registry *registry, struct pool_listing *pools, int64_t most)
{
    int64_t count = 0;
    for (struct entry *entry = NULL; (entry = visit_next(registry, entry)); count++) {
        if (count < most)
            list_entry(registry, entry, &pools[count]);
    }
    return count;
}

// All pools, in memory of their own; pools that are added meanwhile are left out.
static int list_all(struct pool_registry *registry, struct pool_listing **pools, int64_t *count)
{
    int64_t most = pool_registry_list(registry, NULL, 0);
    *pools = pool_memory_alloc(sizeof **pools * (size_t)(most + 1));
    if (!*pools)
        return -ENOMEM;
    *count = pool_registry_list(registry, *pools, most);
    if (*count > most)
        *count = most;
    return 0;
}

int pool_registry_page(struct pool_registry *registry, enum pool_page page, FILE *to)
{
    struct pool_listing *pools;
    int64_t count;
    int code = list_all(registry, &pools, &count);
    if (code < 0)
        return code;
    struct pool_page_row *rows = pool_memory_alloc(sizeof *rows * (size_t)(count + 1));
    if (!rows) {
        pool_memory_free(pools);
        return -ENOMEM;
    }
    for (int64_t i = 0; i < count; i++)
        rows[i] = (struct pool_page_row){.name = pools[i].name,
                                         .strategy = pool_strategy_name(pools[i].strategy),
                                         .object_bytes = pools[i].object_bytes,
                                         .stats = pools[i].stats};
    (page == POOL_PAGE_PROMETHEUS ? pool_page_prometheus : pool_page_text)(rows, (size_t)count, to);
    pool_memory_free(rows);
    pool_memory_free(pools);
    return fflush(to) != 0 || ferror(to) ? -EIO : 0;
}
