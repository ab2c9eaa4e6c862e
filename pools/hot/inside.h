// SPDX-License-Identifier: Apache-2.0
// A hot pool with its lock and threads, internal header: shared by pool.c (the calls), open.c (opening and
// ending the pool) and keep.c (its threads). State and decisions are in state.h.
#ifndef POOLMARK_POOLS_HOT_INSIDE_H
#define POOLMARK_POOLS_HOT_INSIDE_H

#include "pools/hot/state.h"

struct hot_pool {
    pthread_mutex_t lock; // guards the rest, except config and lists of `state`: constant
    struct hot_state state;
    const struct hot_clock *clock;
    pthread_cond_t work;    // wakes openers: to open, or to end
    pthread_cond_t tick;    // wakes the keeper: to close, to retry, or to end
    pthread_cond_t changed; // wakes watchers, on any change
    int watchers;           // calls of drain, warm and close that wait
    int calls;              // under way, but for hot_close
    int openers, resting;   // threads; those without work, or about to start
    pthread_t *threads;     // of openers
    pthread_t keeper;
    int64_t keeper_until_ns; // the keeper sleeps until then; 0: it is awake
    bool stopping;
};

static inline int64_t hot_now_ns(const struct hot_pool *pool)
{
    return pool->clock->now_ns(pool->clock->context);
}

static inline void hot_sleep(struct hot_pool *pool, pthread_cond_t *cond, int64_t until_ns)
{
    pool->clock->wait(pool->clock->context, cond, &pool->lock, until_ns);
}

// Around each call, but for hot_close, which waits for them.
static inline void hot_begin(struct hot_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->calls++;
}

static inline void hot_leave(struct hot_pool *pool)
{
    if (--pool->calls == 0 && pool->watchers > 0)
        pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

// keep.c. All except hot_keeper_run need the lock, and release it while they close or check.

void hot_react(struct hot_pool *pool); // after each step: notifies the threads that have work now
void *hot_keeper_run(void *pool);
int64_t hot_close_ended(struct hot_pool *pool);                         // returns how many it closed
void hot_check_idle(struct hot_pool *pool, bool all);                   // idle ones that are due, or all
void hot_stop_openers(struct hot_pool *pool);                           // only when no thread is in open
int64_t hot_relieve_locked(struct hot_pool *pool);                      // see hot_relieve
int64_t hot_sweep_locked(struct hot_pool *pool);                        // see hot_sweep
bool hot_ask(struct hot_pool *pool, struct hot_connection *connection); // is the connection healthy?

#endif
