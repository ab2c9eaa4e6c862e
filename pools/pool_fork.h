// SPDX-License-Identifier: Apache-2.0
// fork() of a process with pools. All open pools are in one list. The first open registers handlers with
// pthread_atfork. They take the locks of all pools before the process is copied, and release them afterwards
// in parent and child. So in the child no lock is held and no change is half made.
//
// Order of locks: the list's, the register of threads' (pools/shared/thread_slot.h), then each pool's in the
// order of the list. No pool takes one of the first two while it holds a lock of its own.
#ifndef POOLMARK_POOLS_POOL_FORK_H
#define POOLMARK_POOLS_POOL_FORK_H

#include "pools/pool_strategy.h"

// Registers the handlers, once in a process. 0 or -ENOMEM: then no pool may be opened, since a child of fork
// could hang in it.
int pool_fork_prepare(void);
// After pool_fork_prepare.
void pool_fork_add(struct pool_base *base);
void pool_fork_remove(struct pool_base *base);

#endif
