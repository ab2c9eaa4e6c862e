// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_inline.h"

#include "pools/shared/poison.h"
#include "pools/pool_strategy.h"
#include "pools/shared/thread_slot.h"

#include <errno.h>
#include <stdalign.h>

// Rows of zeros serve nothing, so each get and put goes on to pool_get and pool_put. Each thread writes
// `busy` to its own row.
static struct {
    alignas(POOL_INLINE_ROW_BYTES) char bytes[POOL_INLINE_ROW_BYTES];
} closed[THREAD_SLOT_ROWS];

#if defined(POOLMARK_CHECK) || defined(POOLMARK_HANDICAP_GET) || defined(POISON_ASAN) ||                     \
    defined(POISON_VALGRIND)
enum { EACH_CALL_IS_SEEN = 1 };
#else
enum { EACH_CALL_IS_SEEN = 0 };
#endif

int pool_inline_open_version(struct pool_inline *inlined, struct pool *pool, unsigned version)
{
    struct pool_base *base = (struct pool_base *)pool;
    const struct pool_strategy *strategy = base->strategy;
    // Not where pool.c does something before or after the strategy (`reset` in each put, for example): each
    // call has to go through pool.c then.
    bool may = !EACH_CALL_IS_SEEN && version == POOL_INLINE_VERSION &&
               atomic_load_explicit(&base->get, memory_order_relaxed) == base->plain_get &&
               atomic_load_explicit(&base->put, memory_order_relaxed) ==
                   atomic_load_explicit(&base->plain_put, memory_order_relaxed);
    struct pool_row *rows = may && strategy->inline_rows ? strategy->inline_rows(pool) : NULL;
    inlined->pool = pool;
    inlined->rows = rows ? (char *)rows : closed[0].bytes;
    return rows ? 0 : -ENOTSUP;
}
