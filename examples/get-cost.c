// SPDX-License-Identifier: Apache-2.0
// What a get and its put cost in your program, by the way that it links the library. Build it against the installed library:
//
//     cc -O2 get-cost.c $(pkg-config --cflags --libs poolmark) -o shared
//     cc -O2 get-cost.c $(pkg-config --cflags poolmark) /usr/local/lib/libpoolmark.a -lm -pthread -o static
//     ./shared slab 3072                prints nanoseconds, called and compiled in (pool_inline.h)
//
// The figure is the fastest of many short runs: what else the machine does makes it longer, and never shorter.
#include <poolmark/pool.h>
#include <poolmark/pool_inline.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 2000, TIMES = 10000 };

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

// Nanoseconds a get and its put; below 0 where a get gave no object.
static double called_ns(struct pool *pool)
{
    double start = now_ns();
    for (int i = 0; i < TIMES; i++) {
        void *object = pool_get(pool);
        if (!object)
            return -1;
        pool_put(pool, object);
    }
    return (now_ns() - start) / TIMES;
}

static double inlined_ns(struct pool_inline *inlined)
{
    double start = now_ns();
    for (int i = 0; i < TIMES; i++) {
        void *object = pool_inline_get(inlined);
        if (!object)
            return -1;
        pool_inline_put(inlined, object);
    }
    return (now_ns() - start) / TIMES;
}

int main(int argc, char **argv)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    const struct pool_strategy *strategy = pool_strategy_find(argc > 1 ? argv[1] : "slab");
    struct pool_inline inlined;
    struct pool *pool;
    struct err err;
    double called = 1e9, compiled_in = 1e9;
    config.name = "get-cost";
    config.object_bytes = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 3072;
    config.initial = 1000;
    if (strategy)
        (void)pool_config_fit(strategy, &config);
    if (pool_open(&pool, strategy, &config, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    int has_fast_path = pool_inline_open(&inlined, pool) == 0;
    for (int i = 0; i < RUNS; i++) {
        double one = called_ns(pool), other = inlined_ns(&inlined);
        if (one < 0 || other < 0)
            return EXIT_FAILURE;
        called = one < called ? one : called;
        compiled_in = other < compiled_in ? other : compiled_in;
    }
    printf("called %.2f ns", called);
    if (has_fast_path)
        printf(", compiled in %.2f ns", compiled_in);
    printf("\n");
    pool_close(pool);
    return EXIT_SUCCESS;
}
