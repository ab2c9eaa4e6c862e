// SPDX-License-Identifier: Apache-2.0
// Checked builds (CHECK=1): which objects of a pool are out. Detects an object put twice, an object of
// another pool, one object given to two owners, and objects still out at close. Each ends the process by
// abort(), after one line on stderr that names the pool, the object and the mistake.
//
//     pool 'connections': object 0x5581c0a3e010 put twice
//
// Any thread may call all but open and close. A sharded hash table remembers objects, also after they were
// put: so a second put is told from a foreign pointer. Its memory is its own, and no injected failure
// affects it. An object is filled with one pattern when it is got and with another when it is put, so that
// no program can rely on its contents.
#ifndef POOLMARK_POOLS_POOL_CHECK_H
#define POOLMARK_POOLS_POOL_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_CHECK_GOT = 0xA5, POOL_CHECK_PUT = 0xDB }; // fill bytes

struct pool_check;

// The name is not copied. `fills`: fills objects with the patterns; not for a pool whose objects keep their
// contents. Never NULL.
struct pool_check *pool_check_open(const char *pool_name, bool fills);
void pool_check_got(struct pool_check *check, void *object, size_t bytes); // after the strategy gave it
void pool_check_put(struct pool_check *check, void *object); // before the strategy takes it back
int64_t pool_check_out(struct pool_check *check);            // objects out
void pool_check_valid(const char *pool_name, bool valid,
                      const char *when);         // aborts when the invariants do not hold
void pool_check_close(struct pool_check *check); // aborts when any object is out; NULL is allowed

// Around fork (pools/pool_fork.h); NULL is allowed. In the child, objects that are out at the fork may never
// come back.
void pool_check_fork_prepare(struct pool_check *check);
void pool_check_fork_parent(struct pool_check *check);
void pool_check_fork_child(struct pool_check *check);

#endif
