// SPDX-License-Identifier: Apache-2.0
// A plug-in for tests/test_plugin.c: the thinnest strategy there is, malloc and free, and with -DFAULT_... one
// thing wrong with it. Built against the installed header alone, as a stranger's is.
#include <poolmark/pool_plugin.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define UNUSED __attribute__((unused)) // some faults leave a function out

struct pool {
    struct poolmark_head head;
    size_t object_bytes;
};

#ifndef FAULT_undefined
UNUSED static int thin_open(struct pool **opened, const struct poolmark_config_v1 *config, char *why,
                            size_t why_bytes)
{
    (void)opened, (void)config, (void)why, (void)why_bytes;
#ifdef FAULT_refuses
    snprintf(why, why_bytes, "it is\nSunday");
    return -EPERM;
#elif defined FAULT_positive
    return 7;
#else
    struct pool *pool = aligned_alloc(16, (sizeof *pool + 15) / 16 * 16);
    if (!pool)
        return -ENOMEM;
    pool->object_bytes = config->object_bytes;
    *opened = pool;
    return 0;
#endif
}
#else
int thin_open(struct pool **opened, const struct poolmark_config_v1 *config, char *why, size_t why_bytes);
#endif

UNUSED static void *thin_get(struct pool *pool)
{
    return malloc(pool->object_bytes);
}

UNUSED static void thin_put(struct pool *pool, void *object)
{
    (void)pool;
    free(object);
}

UNUSED static void thin_close(struct pool *pool)
{
    free(pool);
}

#ifdef FAULT_later
__attribute__((visibility("default"))) const int poolmark_strategy_v3 = 3;
#elif !defined FAULT_symbol
struct longer {
    struct poolmark_strategy_v1 strategy;
    long further; // of a later header
};
#ifdef FAULT_further
#define FURTHER 1
#else
#define FURTHER 0
#endif
extern const struct longer whole __asm__("poolmark_strategy_v1");
__attribute__((visibility("default"))) const struct longer whole = {
    .strategy =
        {
#ifdef FAULT_abi
            .abi = 9,
#else
            .abi = POOLMARK_STRATEGY_ABI,
#endif
#ifdef FAULT_short
            .bytes = 40,
#else
            .bytes = sizeof(struct longer),
#endif
#ifdef FAULT_clash
            .name = "malloc",
#elif defined FAULT_reserved
            .name = "direct",
#elif defined FAULT_name
            .name = "Thin one",
#elif defined FAULT_other
            .name = "other",
#else
            .name = "thin",
#endif
#ifdef FAULT_summary
            .summary = "two\nlines",
#else
            .summary = "malloc and free, from a library",
#endif
#ifdef FAULT_version
            .version = "1.0 beta",
#else
            .version = "1.5",
#endif
#ifdef FAULT_flag
            .can = 1 << 20,
#elif defined FAULT_trim
            .can = POOLMARK_CAN_SHRINK,
#elif defined FAULT_growth
            .growth = POOLMARK_GROWTH_FACTOR,
#endif
#ifdef FAULT_sweep
            .sweep = (int64_t(*)(struct pool *))(void (*)(void))thin_get,
#endif
            .open = thin_open,
#ifndef FAULT_get
            .get = thin_get,
#endif
            .put = thin_put,
            .close = thin_close,
        },
    .further = FURTHER,
};
#endif
