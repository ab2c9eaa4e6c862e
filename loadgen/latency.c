// SPDX-License-Identifier: Apache-2.0
#include "loadgen/latency.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

enum { FLUSH_AGE_NS = 100000000 };

struct stripe {
    pthread_mutex_t lock; // guards the histograms of the stripe and all below
    bool used[LATENCY_COUNT];
    int64_t censored[LATENCY_COUNT];
};

struct latency_shared {
    size_t bytes; // of the mapping
    int stripes;
    size_t hist_bytes, stripe_bytes;
    // Followed by the stripes, each: struct stripe, then LATENCY_COUNT histograms.
};

static size_t align64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t stripe_bytes(void)
{
    return align64(sizeof(struct stripe)) + LATENCY_COUNT * hist_bytes();
}

static struct stripe *stripe_at(struct latency_shared *shared, int stripe)
{
    return (struct stripe *)((char *)shared + align64(sizeof *shared) +
                             (size_t)stripe * shared->stripe_bytes);
}

static struct hist *hist_at(const struct latency_shared *shared, struct stripe *stripe, int kind)
{
    return (struct hist *)((char *)stripe + align64(sizeof *stripe) + (size_t)kind * shared->hist_bytes);
}

const char *latency_name(enum latency_kind kind)
{
    static const char *const names[LATENCY_COUNT] = {
        [LATENCY_CONNECT] = "connect",
        [LATENCY_CONNECT_UNCORRECTED] = "connect_uncorrected",
        [LATENCY_ACK] = "ack",
        [LATENCY_ACK_UNCORRECTED] = "ack_uncorrected",
        [LATENCY_DELIVERY] = "delivery",
        [LATENCY_DELIVERY_UNCORRECTED] = "delivery_uncorrected",
        [LATENCY_ARRIVAL] = "arrival",
        [LATENCY_ARRIVAL_UNCORRECTED] = "arrival_uncorrected",
        [LATENCY_DELIVERY_BEFORE] = "delivery_before",
        [LATENCY_DELIVERY_AFTER] = "delivery_after",
        [LATENCY_DELIVERY_SLOW] = "delivery_slow",
        [LATENCY_RECOVERY] = "recovery",
        [LATENCY_SUBSCRIBE] = "subscribe",
        [LATENCY_UNSUBSCRIBE] = "unsubscribe",
        [LATENCY_REPLAY] = "replay",
        [LATENCY_LAG] = "lag",
    };
    return (unsigned)kind < LATENCY_COUNT ? names[kind] : "unknown";
}

static int stripe_init(const struct latency_shared *shared, struct stripe *stripe)
{
    pthread_mutexattr_t attr;
    int code = pthread_mutexattr_init(&attr);
    if (code != 0)
        return -code;
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    code = pthread_mutex_init(&stripe->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        hist_init(hist_at(shared, stripe, kind));
    return -code;
}

int latency_shared_open(struct latency_shared **shared, int stripes, struct err *err)
{
    size_t bytes = align64(sizeof **shared) + (size_t)stripes * stripe_bytes();
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, -errno, "cannot map %zu bytes of shared memory for histograms: %m", bytes);
    *shared = memory;
    (*shared)->bytes = bytes;
    (*shared)->stripes = stripes;
    (*shared)->hist_bytes = hist_bytes();
    (*shared)->stripe_bytes = stripe_bytes();
    for (int i = 0; i < stripes; i++) {
        int code = stripe_init(*shared, stripe_at(*shared, i));
        if (code < 0) {
            munmap(memory, bytes);
            return err_set(err, code, "cannot make a lock that processes share");
        }
    }
    return 0;
}

void latency_shared_close(struct latency_shared *shared)
{
    if (shared)
        munmap(shared, shared->bytes);
}

static void stripe_lock(struct stripe *stripe)
{
    // A killed holder leaves at most one sample half counted. The histogram stays usable.
    if (pthread_mutex_lock(&stripe->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&stripe->lock);
}

// If each value is in the step of the value before, all are in the step of the first.
static bool join_run(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns)
{
    if (batch->last[kind] == 0)
        return false;
    int at = batch->last[kind] - 1;
    if (!hist_same_step(batch->samples[at].max_ns, value_ns))
        return false;
    if (value_ns > batch->samples[at].max_ns)
        batch->samples[at].max_ns = value_ns;
    if (value_ns < batch->samples[at].min_ns)
        batch->samples[at].min_ns = value_ns;
    batch->samples[at].count++;
    return true;
}

static void begin_run(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns, int64_t now_ns,
                      bool censored)
{
    if (batch->count == 0)
        batch->oldest_ns = now_ns;
    batch->samples[batch->count].min_ns = batch->samples[batch->count].max_ns = value_ns;
    batch->samples[batch->count].count = 1;
    batch->samples[batch->count].kind = (int16_t)kind;
    batch->samples[batch->count].censored = censored;
    batch->last[kind] = censored ? 0 : batch->count + 1;
    if (++batch->count == LATENCY_BATCH)
        latency_flush(batch);
}

void latency_add(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns, int64_t now_ns)
{
    if (value_ns < 0)
        value_ns = 0;
    if (!join_run(batch, kind, value_ns))
        begin_run(batch, kind, value_ns, now_ns, false);
}

void latency_add_censored(struct latency_batch *batch, enum latency_kind kind, int64_t value_ns,
                          int64_t now_ns)
{
    begin_run(batch, kind, value_ns > 0 ? value_ns : 0, now_ns, true);
}

void latency_flush(struct latency_batch *batch)
{
    if (batch->count == 0)
        return;
    struct stripe *stripe = stripe_at(batch->shared, batch->stripe % batch->shared->stripes);
    stripe_lock(stripe);
    for (int i = 0; i < batch->count; i++) {
        stripe->used[batch->samples[i].kind] = true;
        hist_add_run(hist_at(batch->shared, stripe, batch->samples[i].kind), batch->samples[i].min_ns,
                     batch->samples[i].max_ns, batch->samples[i].count);
        stripe->censored[batch->samples[i].kind] += batch->samples[i].censored;
    }
    pthread_mutex_unlock(&stripe->lock);
    batch->count = 0;
    memset(batch->last, 0, sizeof batch->last);
}

void latency_flush_old(struct latency_batch *batch, int64_t now_ns)
{
    if (batch->count > 0 && now_ns - batch->oldest_ns >= FLUSH_AGE_NS)
        latency_flush(batch);
}

void latency_collect(struct latency_shared *shared, struct hist *into[LATENCY_COUNT],
                     int64_t censored[LATENCY_COUNT])
{
    for (int i = 0; i < shared->stripes; i++) {
        struct stripe *stripe = stripe_at(shared, i);
        stripe_lock(stripe);
        for (int kind = 0; kind < LATENCY_COUNT; kind++) {
            if (!stripe->used[kind])
                continue;
            hist_merge(into[kind], hist_at(shared, stripe, kind));
            hist_reset(hist_at(shared, stripe, kind));
            if (censored)
                censored[kind] += stripe->censored[kind];
            stripe->censored[kind] = 0;
            stripe->used[kind] = false;
        }
        pthread_mutex_unlock(&stripe->lock);
    }
}
