// SPDX-License-Identifier: Apache-2.0
#include "tests/inline_cpp.h"

#include <vector>

int inline_cpp_round(struct pool *pool, int count)
{
    pool_inline inlined;
    pool_inline_open(&inlined, pool);
    std::vector<void *> objects;
    for (int i = 0; i < count; i++)
        if (void *object = pool_inline_get(&inlined)) {
            *static_cast<char *>(object) = 1;
            objects.push_back(object);
        }
    for (void *object : objects)
        pool_inline_put(&inlined, object);
    return static_cast<int>(objects.size());
}

unsigned inline_cpp_version(void)
{
    return POOL_INLINE_VERSION;
}

struct pool *inline_cpp_open(const char *strategy, struct err *err)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS; // and no warning
    struct pool *pool = nullptr;
    config.object_bytes = 320;
    return pool_open(&pool, pool_strategy_find(strategy), &config, err) == 0 ? pool : nullptr;
}
