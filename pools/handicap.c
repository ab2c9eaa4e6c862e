// SPDX-License-Identifier: Apache-2.0
#include "pools/handicap.h"

#ifdef POOLMARK_HANDICAP_GET

#include "base/clock.h"

enum { RUNS = 25, PAIRS = 4 * HANDICAP_EVERY, PROBE_ROUNDS = 1 << 14, CORRECTIONS = 3 };

_Thread_local int handicap_countdown = HANDICAP_EVERY;

void handicap_spin(int64_t rounds)
{
    handicap_countdown = HANDICAP_EVERY;
    uint64_t chain = (uint64_t)rounds;
    for (int64_t i = 0; i < rounds; i++) {
        chain += UINT64_C(0x9E3779B97F4A7C15);
        __asm__ volatile("" : "+r"(chain)); // the compiler may not fold the chain
    }
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Nanoseconds that PAIRS gets and puts took, with a chain of that length.
static int64_t run_ns(struct pool *pool, int64_t rounds)
{
    ((struct pool_base *)pool)->spin_rounds = rounds;
    int64_t start = clock_now_ns();
    for (int pair = 0; pair < PAIRS; pair++)
        pool_put(pool, pool_get(pool));
    return clock_now_ns() - start;
}

struct cost {
    double run_ns, percent; // of PAIRS without a chain; how much the chain adds to them
};

// Of the fastest runs: those that nothing disturbed.
static struct cost cost_of(struct pool *pool, int64_t rounds)
{
    int64_t without = INT64_MAX, with = INT64_MAX;
    for (int run = 0; run < RUNS; run++) { // in turns: the clock rate may drift
        without = smaller(without, run_ns(pool, 0));
        with = smaller(with, run_ns(pool, rounds));
    }
    double ns = (double)(without > 0 ? without : 1);
    return (struct cost){.run_ns = ns, .percent = 100.0 * (double)(with - without) / ns};
}

static double round_ns(void)
{
    int64_t fastest = INT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        int64_t start = clock_now_ns();
        handicap_spin(PROBE_ROUNDS);
        fastest = smaller(fastest, clock_now_ns() - start);
    }
    return (double)(fastest > 0 ? fastest : 1) / PROBE_ROUNDS;
}

// A processor overlaps the ends of the chain with other work. So the cost is measured and the length
// corrected.
static int64_t fit_rounds(struct pool *pool)
{
    double chain_ns = cost_of(pool, 0).run_ns * HANDICAP_EVERY / PAIRS * POOLMARK_HANDICAP_GET / 100.0;
    double rounds = chain_ns / round_ns();
    for (int i = 0; i < CORRECTIONS; i++) {
        double factor = POOLMARK_HANDICAP_GET / cost_of(pool, (int64_t)(rounds + 0.5)).percent;
        if (factor > 0.5 && factor < 2.0) // otherwise the run was disturbed
            rounds *= factor;
    }
    return (int64_t)(rounds + 0.5);
}

int64_t handicap_spin_rounds(const struct pool_strategy *strategy, const struct pool_config *config)
{
    struct pool_config scratch_config = *config;
    scratch_config.initial = strategy->caps & POOL_CAP_PREHEATS ? 16 : 0;
    scratch_config.max = 0;
    scratch_config.growth_mode = POOL_GROW_INLINE;
    scratch_config.listener = NULL;
    scratch_config.construct = NULL;
    scratch_config.destruct = scratch_config.reset = NULL;
    struct pool *scratch;
    if (POOLMARK_HANDICAP_GET == 0 || pool_strategy_open(strategy, &scratch, &scratch_config, NULL) < 0)
        return 0;
    pool_base_fill(scratch, strategy, &scratch_config);
    int64_t rounds = fit_rounds(scratch);
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
