// SPDX-License-Identifier: Apache-2.0
#include "pools/typed/typed_limits.h"

#include "base/err.h"

#include <errno.h>

int typed_pool_open(struct pool **pool, const struct pool_strategy *strategy,
                    const struct pool_config *config, const struct pool_config *hooks, size_t object_bytes,
                    const struct typed_limits *limits, struct err *err)
{
    const char *name = config->name ? config->name : "(no name)";
    if (!strategy)
        return err_set(err, -EINVAL, "pool %s: there is no such strategy", name);
    if (pool_strategy_caps(strategy) & POOL_CAP_SHARES)
        return err_set(err, -EINVAL, "pool %s: strategy %s gives the same object to everybody", name,
                       pool_strategy_name(strategy));
    if (config->object_bytes || config->construct || config->destruct || config->reset ||
        config->object_context)
        return err_set(err, -EINVAL,
                       "pool %s: object_bytes, construct, destruct, reset and object_context are set by the "
                       "typed pool",
                       name);
    if (limits->capacity < 1 || limits->capacity > TYPED_CAPACITY_MAX)
        return err_set(err, -EINVAL, "pool %s: capacity is %zu; it may be 1 to %zu", name, limits->capacity,
                       TYPED_CAPACITY_MAX);
    if (limits->keep_max < limits->capacity || limits->keep_max > TYPED_CAPACITY_MAX)
        return err_set(err, -EINVAL, "pool %s: keep_max is %zu; it may be %zu (capacity) to %zu", name,
                       limits->keep_max, limits->capacity, TYPED_CAPACITY_MAX);
    struct pool_config whole = *config;
    whole.object_bytes = object_bytes;
    whole.construct = hooks->construct;
    whole.destruct = hooks->destruct;
    whole.reset = hooks->reset;
    whole.object_context = hooks->object_context;
    return pool_open(pool, strategy, &whole, err);
}
