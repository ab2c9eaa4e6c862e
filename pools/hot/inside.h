// SPDX-License-Identifier: Apache-2.0
// A hot pool with its lock and threads: what pool.c (the calls), open.c (its beginning and end) and keep.c
// (its threads) share. State and decisions are state.h's.
#ifndef POOLMARK_POOLS_HOT_INSIDE_H
#define POOLMARK_POOLS_HOT_INSIDE_H

#include "pools/hot/state.h"

struct hot_pool {
    pthread_mutex_t lock; // guards all that follows, but for config and lists of `state`, which stay
    struct hot_state state;
    const struct hot_clock *clock;
    pthread_cond_t work;    // openers: something is wanted, or they are to end
    pthread_cond_t tick;    // keeper: something is to be closed or retried, or it is to end
    pthread_cond_t changed; // watchers: anything
    int watchers;           // drain and warm that wait
    int openers, resting;   // threads; of them without work, or about to start
    pthread_t *threads;     // of openers
    pthread_t keeper;
    int64_t keeper_until_ns; // the keeper sleeps so long; 0: it is awake
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

// keep.c; all but hot_keeper_run with the lock held, which closing and checking lets go meanwhile.

void hot_react(struct hot_pool *pool); // after each step: has others do what it left to do
void *hot_keeper_run(void *pool);
int64_t hot_close_ended(struct hot_pool *pool);                         // how many
void hot_check_idle(struct hot_pool *pool, bool all);                   // those that are due, or all
void hot_stop_openers(struct hot_pool *pool);                           // none is in open
int64_t hot_relieve_locked(struct hot_pool *pool);                      // what hot_relieve says
int64_t hot_sweep_locked(struct hot_pool *pool);                        // what hot_sweep says
bool hot_ask(struct hot_pool *pool, struct hot_connection *connection); // is it healthy?

#endif
