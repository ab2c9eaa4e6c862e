// SPDX-License-Identifier: Apache-2.0
// Helpers for tests of pools. The contract tests run each test with every strategy of pool_strategies(), so
// a new strategy is tested as soon as it is listed.
#ifndef POOLMARK_TESTS_POOL_CONTRACT_H
#define POOLMARK_TESTS_POOL_CONTRACT_H

#include "pools/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

// POOL_CONFIG_DEFAULTS with a name, a size, inline growth (so that a get's work is done when it returns),
// and, for strategies that can, `initial` and `max`.
struct pool_config contract_config(const struct pool_strategy *strategy, size_t object_bytes, int64_t initial,
                                   int64_t max);

// Opens a pool; otherwise the test fails with the reason.
struct pool *contract_open(const struct pool_strategy *strategy, const struct pool_config *config);

bool contract_can(const struct pool *pool, unsigned caps); // all of them

// Statistics of a pool that no thread uses. Checks the equations of pool.h and the strategy's invariants.
struct pool_stats contract_stats(struct pool *pool);

// contract_stats with nothing in use; then closes the pool.
void contract_close(struct pool *pool);

// Checks only the equations of gets and puts, and the invariants: the pool's own thread may be at work.
struct pool_stats contract_counts(struct pool *pool);

// Of a pool that drains, after its last put and a sweep: it owns nothing, and each object was destructed.
void contract_is_drained(const struct pool_strategy *strategy, const struct pool_stats *stats,
                         int constructed, int destructed);

void contract_get_many(struct pool *pool, void **objects, int64_t count); // fails the test when one is NULL
void contract_put_many(struct pool *pool, void **objects, int64_t count);

// Fills the whole object with a pattern of its own for `number`, and checks that the pattern is complete.
void contract_mark(void *object, size_t bytes, uint32_t number);
bool contract_is_marked(const void *object, size_t bytes, uint32_t number);

// Runs the tests once for each strategy, passed to each test as its *state, and once more by the load where
// the strategy can (POOL_CAP_ADAPTS): contract_config then asks for it. Returns the number of failed
// tests.
int contract_run(const char *name, struct CMUnitTest *tests, size_t count);

#endif
