// SPDX-License-Identifier: Apache-2.0
// Checked builds (CHECK=1): which objects of a pool are out. Catches an object put twice, one that is not the
// pool's, a strategy that gives one object to two owners, and objects still out when the pool is closed; each
// ends the process by abort() with one line on stderr that names the pool, the object and what was done.
//
//     pool 'connections': object 0x5581c0a3e010 put twice
//
// Any thread may call all but open and close. Objects are remembered in a sharded hash table, also after they
// were put (that is how a second put is told from a foreign pointer), in memory of its own that no injected
// failure touches. An object is filled with a pattern when it is got and with another when it is put, so that
// nobody can rely on what is left in it.
#ifndef POOLMARK_POOLS_POOL_CHECK_H
#define POOLMARK_POOLS_POOL_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_CHECK_GOT = 0xA5, POOL_CHECK_PUT = 0xDB }; // fill bytes

struct pool_check;

// The name is not copied. `fills`: objects are filled with the patterns, which a pool whose objects keep
// their contents forbids. Never NULL.
struct pool_check *pool_check_open(const char *pool_name, bool fills);
void pool_check_got(struct pool_check *check, void *object, size_t bytes); // after the strategy gave it
void pool_check_put(struct pool_check *check, void *object); // before the strategy takes it back
int64_t pool_check_out(struct pool_check *check);            // objects out
void pool_check_valid(const char *pool_name, bool valid,
                      const char *when);         // aborts when the invariants do not hold
void pool_check_close(struct pool_check *check); // aborts when there are any; NULL is allowed

// Around fork (pools/pool_fork.h); NULL is allowed. In the child, objects that are out then may never come
// back.
void pool_check_fork_prepare(struct pool_check *check);
void pool_check_fork_parent(struct pool_check *check);
void pool_check_fork_child(struct pool_check *check);

#endif
