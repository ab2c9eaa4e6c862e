// SPDX-License-Identifier: Apache-2.0
// For the files of promises: what a check works with. A promise that is not kept ends the process, with what
// was wrong on stderr. So a check reads as a list of steps.
//
//     KEEP(count == 3, "3 objects were put, and it counts %lld", (long long)count);
#ifndef POOLMARK_POOLS_CONTRACT_CHECK_H
#define POOLMARK_POOLS_CONTRACT_CHECK_H

#include "pools/contract/contract.h"
#include "pools/pool_strategy.h"

#include <stdbool.h>

struct check {
    const struct pool_strategy *strategy;
};

extern const struct promise object_promises[], bound_promises[], thread_promises[];

// Prints the text and ends the process. Any thread.
_Noreturn void check_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define KEEP(condition, ...)                                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            check_failed(__VA_ARGS__);                                                                       \
    } while (0)

// POOL_CONFIG_DEFAULTS with a name, a size, inline growth (so that a get's work is done when it returns),
// and, for strategies that can, `initial` and `max`.
struct pool_config check_config(const struct check *check, size_t object_bytes, int64_t initial, int64_t max);

struct pool *check_open(const struct check *check, const struct pool_config *config);
bool check_can(const struct check *check, unsigned caps); // all of them

// Statistics of a pool that no thread uses; checks the equations of pool.h and the strategy's invariants. False
// when the strategy keeps none: then the counts are 0.
bool check_stats(struct pool *pool, struct pool_stats *stats);

// Checks that nothing is in use, where that is known; then closes the pool.
void check_close(struct pool *pool);

void *check_get(struct pool *pool); // not NULL
void check_get_many(struct pool *pool, void **objects, int count);
void check_put_many(struct pool *pool, void **objects, int count);

// Fills the whole object with a pattern of its own for `number`, and says whether the pattern is complete.
void check_mark(void *object, size_t bytes, uint32_t number);
bool check_is_marked(const void *object, size_t bytes, uint32_t number);

#endif
