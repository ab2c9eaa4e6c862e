// SPDX-License-Identifier: Apache-2.0
// fork() of a process with pools. All open pools stand in one list; handlers that pthread_atfork knows from
// the first open on take the locks of all of them before the process is copied, so that no lock is held and
// no change half made in the child, and let them go afterwards in both.
//
// Order of locks: the list's, the register of threads' (pools/shared/thread_slot.h), then each pool's in the
// order of the list. No pool takes one of the first two with a lock of its own held.
#ifndef POOLMARK_POOLS_POOL_FORK_H
#define POOLMARK_POOLS_POOL_FORK_H

#include "pools/pool_strategy.h"

void pool_fork_add(struct pool_base *base);
void pool_fork_remove(struct pool_base *base);

#endif
