// SPDX-License-Identifier: Apache-2.0
#include "pools/handicap.h"

#ifdef POOLMARK_HANDICAP_GET

#include "base/clock.h"

enum { RUNS = 15, PAIRS = 2000, ROUNDS = 20000 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Nanoseconds that PAIRS gets and puts take when nobody disturbs; 0 when they cannot be had.
static int64_t pairs_ns(const struct pool_strategy *strategy, struct pool *pool)
{
    int64_t fastest = INT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        int64_t start = clock_now_ns();
        for (int pair = 0; pair < PAIRS; pair++) {
            void *object = strategy->get(pool);
            if (!object)
                return 0;
            strategy->put(pool, object);
        }
        fastest = smaller(fastest, clock_now_ns() - start);
    }
    return fastest;
}

static int64_t rounds_ns(void)
{
    int64_t fastest = INT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        int64_t start = clock_now_ns();
        handicap_spin(ROUNDS);
        fastest = smaller(fastest, clock_now_ns() - start);
    }
    return fastest > 0 ? fastest : 1;
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
    double pair_ns = (double)pairs_ns(strategy, scratch) / PAIRS;
    strategy->close(scratch);
    double round_ns = (double)rounds_ns() / ROUNDS;
    return (int64_t)(pair_ns * POOLMARK_HANDICAP_GET / 100 / round_ns + 0.5);
}

#else

int64_t handicap_spin_rounds(const struct pool_strategy *strategy, const struct pool_config *config)
{
    (void)strategy, (void)config;
    return 0;
}

#endif
