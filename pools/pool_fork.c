// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_fork.h"

#include "pools/pool_check.h"
#include "pools/shared/pool_lock.h"
#include "pools/shared/thread_slot.h"

#include <pthread.h>

// One for the process, as fork is. The lock guards `pools` and the links in them.
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool_base *pools;
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static int handlers_code; // of registering them

static void call(struct pool_base *base, void (*hook)(struct pool *))
{
    if (hook)
        hook((struct pool *)base);
}

static void before_fork(void)
{
    pthread_mutex_lock(&pools_lock);
    thread_slot_fork_prepare();
    for (struct pool_base *base = pools; base; base = base->next) {
        call(base, base->strategy->fork_prepare);
        pool_check_fork_prepare(base->check);
    }
    pool_memory_fork_prepare();
}

static void in_parent(void)
{
    pool_memory_fork_parent();
    for (struct pool_base *base = pools; base; base = base->next) {
        pool_check_fork_parent(base->check);
        call(base, base->strategy->fork_parent);
    }
    thread_slot_fork_parent();
    pthread_mutex_unlock(&pools_lock);
}

static void in_child(void)
{
    pool_memory_fork_child();
    pool_lock_fork_child();
    for (struct pool_base *base = pools; base; base = base->next) {
        base->forked = true;
        pool_check_fork_child(base->check);
        call(base, base->strategy->fork_child);
    }
    thread_slot_fork_child();
    pthread_mutex_unlock(&pools_lock);
}

static void register_handlers(void)
{
    handlers_code = -pthread_atfork(before_fork, in_parent, in_child);
}

int pool_fork_prepare(void)
{
    pthread_once(&handlers_once, register_handlers);
    return handlers_code;
}

void pool_fork_add(struct pool_base *base)
{
    pthread_mutex_lock(&pools_lock);
    base->previous = NULL;
    base->next = pools;
    if (pools)
        pools->previous = base;
    pools = base;
    pthread_mutex_unlock(&pools_lock);
}

void pool_fork_remove(struct pool_base *base)
{
    pthread_mutex_lock(&pools_lock);
    if (base->previous)
        base->previous->next = base->next;
    else
        pools = base->next;
    if (base->next)
        base->next->previous = base->previous;
    pthread_mutex_unlock(&pools_lock);
}
