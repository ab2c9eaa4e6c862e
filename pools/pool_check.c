// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_check.h"

#include "pools/shared/pool_lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARDS = 64, SLOTS_AT_FIRST = 64 };

struct known {
    uintptr_t object; // 0: free slot; never removed
    size_t bytes;
    bool out;
    bool inherited; // was out when a parent forked this process
};

struct shard {
    struct pool_lock lock; // guards the rest
    struct known *slots;   // open addressing, a power of two, at most half full
    size_t size, used, out;
};

struct pool_check {
    const char *pool_name;
    bool fills;
    struct shard shards[SHARDS];
};

static _Noreturn void say_and_abort(const char *pool_name, const char *what)
{
    char line[256];
    int length = snprintf(line, sizeof line, "pool '%s': %s\n", pool_name, what);
    size_t bytes = length < (int)sizeof line ? (size_t)length : sizeof line - 1;
    if (write(STDERR_FILENO, line, bytes) < 0)
        abort(); // stderr is not writable
    abort();
}

static _Noreturn void die(const struct pool_check *check, const char *format, uintptr_t object,
                          const char *what)
{
    char detail[128];
    snprintf(detail, sizeof detail, format, (void *)object, what);
    say_and_abort(check->pool_name, detail);
}

void pool_check_valid(const char *pool_name, bool valid, const char *when)
{
    char detail[128];
    if (valid)
        return;
    snprintf(detail, sizeof detail, "its invariants do not hold %s", when);
    say_and_abort(pool_name, detail);
}

static void *need(const struct pool_check *check, void *block)
{
    if (!block)
        die(check, "no memory left to check object %p%s", 0, "");
    return block;
}

struct pool_check *pool_check_open(const char *pool_name, bool fills)
{
    struct pool_check nameless = {.pool_name = pool_name};
    struct pool_check *check = need(&nameless, calloc(1, sizeof *check));
    check->pool_name = pool_name;
    check->fills = fills;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &check->shards[i];
        pool_lock_init(&shard->lock, false);
        shard->size = SLOTS_AT_FIRST;
        shard->slots = need(check, calloc(shard->size, sizeof *shard->slots));
    }
    return check;
}

// Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): the top bits select the shard,
// the bits below them the slot.
static uint64_t hash(uintptr_t object)
{
    return (uint64_t)(object >> 4) * UINT64_C(0x9E3779B97F4A7C15);
}

static struct shard *shard_of(struct pool_check *check, uintptr_t object)
{
    return &check->shards[hash(object) >> 58];
}

// The slot that has the object, or the free one where it would go. Needs the lock held.
static struct known *slot_of(const struct shard *shard, uintptr_t object)
{
    size_t at = (size_t)(hash(object) >> 16) & (shard->size - 1);
    while (shard->slots[at].object != 0 && shard->slots[at].object != object)
        at = (at + 1) & (shard->size - 1);
    return &shard->slots[at];
}

static void grow(const struct pool_check *check, struct shard *shard)
{
    struct shard larger = {.size = shard->size * 2};
    larger.slots = need(check, calloc(larger.size, sizeof *larger.slots));
    for (size_t i = 0; i < shard->size; i++)
        if (shard->slots[i].object)
            *slot_of(&larger, shard->slots[i].object) = shard->slots[i];
    free(shard->slots);
    shard->slots = larger.slots;
    shard->size = larger.size;
}

void pool_check_got(struct pool_check *check, void *object, size_t bytes)
{
    uintptr_t address = (uintptr_t)object;
    struct shard *shard = shard_of(check, address);
    pool_lock_acquire(&shard->lock);
    struct known *known = slot_of(shard, address);
    if (known->object == 0) {
        if (shard->used * 2 >= shard->size) {
            grow(check, shard);
            known = slot_of(shard, address);
        }
        shard->used++;
    } else if (known->out) {
        die(check, "object %p given to two owners%s", address, "");
    }
    *known = (struct known){.object = address, .bytes = bytes, .out = true};
    shard->out++;
    pool_lock_release(&shard->lock);
    if (check->fills)
        memset(object, POOL_CHECK_GOT, bytes);
}

void pool_check_put(struct pool_check *check, void *object)
{
    uintptr_t address = (uintptr_t)object;
    struct shard *shard = shard_of(check, address);
    pool_lock_acquire(&shard->lock);
    struct known *known = slot_of(shard, address);
    if (known->object == 0)
        die(check, "object %p put%s", address, ", which this pool never gave");
    if (!known->out)
        die(check, "object %p put%s", address, " twice");
    shard->out -= !known->inherited;
    known->out = known->inherited = false;
    // Filled before the lock is released: after that a second put is caught, and no other get can have the
    // object yet.
    if (check->fills)
        memset(object, POOL_CHECK_PUT, known->bytes);
    pool_lock_release(&shard->lock);
}

int64_t pool_check_out(struct pool_check *check)
{
    int64_t out = 0;
    for (int i = 0; i < SHARDS; i++) {
        pool_lock_acquire(&check->shards[i].lock);
        out += (int64_t)check->shards[i].out;
        pool_lock_release(&check->shards[i].lock);
    }
    return out;
}

static uintptr_t first_out(const struct pool_check *check)
{
    for (int i = 0; i < SHARDS; i++)
        for (size_t at = 0; at < check->shards[i].size; at++)
            if (check->shards[i].slots[at].out && !check->shards[i].slots[at].inherited)
                return check->shards[i].slots[at].object;
    return 0;
}

void pool_check_close(struct pool_check *check)
{
    if (!check)
        return;
    int64_t out = pool_check_out(check);
    if (out) {
        char what[64];
        snprintf(what, sizeof what, " closed with %lld object%s out", (long long)out, out == 1 ? "" : "s");
        die(check, "object %p still out:%s", first_out(check), what);
    }
    for (int i = 0; i < SHARDS; i++) {
        free(check->shards[i].slots);
    }
    free(check);
}

void pool_check_fork_prepare(struct pool_check *check)
{
    for (int i = 0; check && i < SHARDS; i++)
        pool_lock_acquire(&check->shards[i].lock);
}

void pool_check_fork_parent(struct pool_check *check)
{
    for (int i = 0; check && i < SHARDS; i++)
        pool_lock_release(&check->shards[i].lock);
}

void pool_check_fork_child(struct pool_check *check)
{
    for (int i = 0; check && i < SHARDS; i++) {
        struct shard *shard = &check->shards[i];
        for (size_t at = 0; at < shard->size; at++)
            shard->slots[at].inherited = shard->slots[at].out;
        shard->out = 0;
        pool_lock_release(&shard->lock);
    }
}
