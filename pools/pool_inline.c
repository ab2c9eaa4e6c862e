// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_inline.h"

#include "pools/poison.h"
#include "pools/pool_strategy.h"
#include "pools/thread_slot.h"

#include <errno.h>
#include <stdalign.h>

// Rows of zeros serve nothing: each get and put goes on to pool_get and pool_put. Callers write `busy` to
// them, each thread to its own.
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
    const struct pool_base *base = (const struct pool_base *)pool;
    const struct pool_strategy *strategy = base->strategy;
    // `reset` runs in each put, and is called by pool_put.
    bool may = !EACH_CALL_IS_SEEN && version == POOL_INLINE_VERSION && !base->config.reset;
    struct pool_row *rows = may && strategy->inline_rows ? strategy->inline_rows(pool) : NULL;
    inlined->pool = pool;
    inlined->rows = rows ? (char *)rows : closed[0].bytes;
    return rows ? 0 : -ENOTSUP;
}
