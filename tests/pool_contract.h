// SPDX-License-Identifier: Apache-2.0
// What tests of pools share. The contract tests run each of their tests with every strategy that
// pool_strategies() lists, so a new strategy is tested by being listed.
#ifndef POOLMARK_TESTS_POOL_CONTRACT_H
#define POOLMARK_TESTS_POOL_CONTRACT_H

#include "pools/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

// POOL_CONFIG_DEFAULTS with a name, a size, inline growth (so that what a get does is done when it returns),
// and, for strategies that can, `initial` and `max`.
struct pool_config contract_config(const struct pool_strategy *strategy, size_t object_bytes, int64_t initial,
                                   int64_t max);

// Opens or fails the test, which then says why.
struct pool *contract_open(const struct pool_strategy *strategy, const struct pool_config *config);

bool contract_can(const struct pool *pool, unsigned caps); // all of them

// Statistics of a pool in which nobody works: the equations of pool.h hold, and the strategy's invariants.
struct pool_stats contract_stats(struct pool *pool);

// contract_stats, with nothing in use; then closes it.
void contract_close(struct pool *pool);

// The equations of gets and puts and the invariants only: the pool's own thread may be at work.
struct pool_stats contract_counts(struct pool *pool);

void contract_get_many(struct pool *pool, void **objects, int64_t count); // fails the test when one is NULL
void contract_put_many(struct pool *pool, void **objects, int64_t count);

// Fills the whole object so that `number` can be told from every other, and checks that it is all still
// there.
void contract_mark(void *object, size_t bytes, uint32_t number);
bool contract_is_marked(const void *object, size_t bytes, uint32_t number);

// Runs the tests once for each strategy, which each test finds as its *state. Returns how many failed.
int contract_run(const char *name, struct CMUnitTest *tests, size_t count);

#endif
