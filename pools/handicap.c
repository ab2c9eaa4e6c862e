// SPDX-License-Identifier: Apache-2.0
#include "pools/handicap.h"

#ifdef POOLMARK_HANDICAP_GET

#include "base/clock.h"

enum { RUNS = 25, PAIRS = 2000, ROUNDS_MAX = 1 << 14 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Nanoseconds that PAIRS gets and puts took, each get with so many rounds before it.
static int64_t run_ns(struct pool *pool, int64_t rounds)
{
    ((struct pool_base *)pool)->spin_rounds = rounds;
    int64_t start = clock_now_ns();
    for (int pair = 0; pair < PAIRS; pair++)
        pool_put(pool, pool_get(pool));
    return clock_now_ns() - start;
}

// By how many percent so many rounds make a pair dearer, when nobody disturbs.
static double percent_dearer(struct pool *pool, int64_t rounds)
{
    int64_t without = INT64_MAX, with = INT64_MAX;
    for (int run = 0; run < RUNS; run++) { // in turns: the clock rate may drift
        without = smaller(without, run_ns(pool, 0));
        with = smaller(with, run_ns(pool, rounds));
    }
    return 100.0 * (double)(with - without) / (double)(without > 0 ? without : 1);
}

static int64_t search_rounds(struct pool *pool)
{
    int64_t low = 0, high = 1;
    while (high < ROUNDS_MAX && percent_dearer(pool, high) < POOLMARK_HANDICAP_GET) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (percent_dearer(pool, middle) < POOLMARK_HANDICAP_GET)
            low = middle;
        else
            high = middle;
    }
    return high;
}

int64_t handicap_spin_rounds(const struct pool_strategy *strategy, const struct pool_config *config)
{
    struct pool_config scratch_config = *config;
    scratch_config.initial = strategy->caps & POOL_CAP_PREHEATS ? 16 : 0;
    scratch_config.max = 0;
    scratch_config.growth_mode = POOL_GROW_INLINE;
    scratch_config.listener = NULL;
    struct pool *scratch;
    if (strategy->open(&scratch, &scratch_config, NULL) < 0)
        return 0;
    ((struct pool_base *)scratch)->strategy = strategy;
    ((struct pool_base *)scratch)->config = scratch_config;
    int64_t rounds = search_rounds(scratch);
    strategy->close(scratch);
    return rounds;
}

#else

int64_t handicap_spin_rounds(const struct pool_strategy *strategy, const struct pool_config *config)
{
    (void)strategy, (void)config;
    return 0;
}

#endif
