// SPDX-License-Identifier: Apache-2.0
// What a strategy promises about its bound, its growth, and the memory that it gives back.
#include "pools/contract/check.h"

#include <errno.h>
#include <stdatomic.h>

enum { MANY = 150, OWNED = 20, OUT = 50 };

// What the strategy tells of itself. Atomic: a strategy may tell on a thread of its own. The order of the counts
// does not matter.
struct heard {
    atomic_int kinds[POOL_EVENT_REFUSE + 1];
    atomic_int smaller; // expansions after which no more was owned than before
};

static void listen(void *context, const char *pool_name, const struct pool_event *event)
{
    struct heard *heard = context;
    (void)pool_name;
    atomic_fetch_add(&heard->kinds[event->kind], 1);
    atomic_fetch_add(&heard->smaller, event->kind == POOL_EVENT_EXPAND && event->to <= event->from);
}

static int events(struct heard *heard, enum pool_event_kind kind)
{
    return atomic_load(&heard->kinds[kind]);
}

static void preheat_keeps_to_max(const struct check *check)
{
    struct pool_config config = check_config(check, 500, 10, 30);
    struct pool *pool = check_open(check, &config);
    struct pool_stats stats;
    if (check_stats(pool, &stats)) {
        int64_t owned = stats.owned;
        KEEP(pool_preheat(pool, 31 - owned) == -ERANGE, "preheat past max does not say -ERANGE");
        (void)check_stats(pool, &stats);
        KEEP(stats.owned == owned, "preheat past max failed, and owned went from %lld to %lld",
             (long long)owned, (long long)stats.owned);
        KEEP(pool_preheat(pool, 30 - owned) == 0, "preheat up to max fails");
        (void)check_stats(pool, &stats);
        KEEP(stats.owned == 30, "preheat up to max, 30, and it owns %lld", (long long)stats.owned);
    } else {
        KEEP(pool_preheat(pool, 31) == -ERANGE, "preheat past max does not say -ERANGE");
    }
    check_close(pool);
}

// Strategies that do not grow own their bound from the start.
static struct pool_config bounded_config(const struct check *check, enum pool_overflow overflow)
{
    bool grows = check_can(check, POOL_CAP_GROWS);
    struct pool_config config = check_config(check, 300, grows ? OWNED / 4 : OWNED, OWNED);
    config.overflow = overflow;
    pool_config_fit(check->strategy, &config);
    return config;
}

static void past_the_bound_malloc_serves(const struct check *check)
{
    struct pool_config config = bounded_config(check, POOL_OVERFLOW_HEAP);
    struct pool *pool = check_open(check, &config);
    void *objects[OUT];
    for (int round = 0; round < 3; round++) {
        struct pool_stats stats;
        check_get_many(pool, objects, OUT);
        for (uint32_t i = 0; i < OUT; i++)
            check_mark(objects[i], config.object_bytes, i);
        for (uint32_t i = 0; i < OUT; i++)
            KEEP(check_is_marked(objects[i], config.object_bytes, i), "objects past max overlap with others");
        KEEP(!check_stats(pool, &stats) || (stats.overflow == (round + 1) * (OUT - OWNED) &&
                                            stats.in_use == OUT && stats.owned == OWNED),
             "round %d with %d objects out and max %d: overflow %lld, in_use %lld, owned %lld", round + 1,
             OUT, OWNED, (long long)stats.overflow, (long long)stats.in_use, (long long)stats.owned);
        for (int i = 0; i < OUT; i++) // the overflow first, then last
            pool_put(pool, objects[round == 1 ? i : OUT - 1 - i]);
    }
    check_close(pool);
}

// A thread of the pool may make the objects, sooner or later.
static void overflow_is_what_is_past_the_bound_however_it_grows(const struct check *check)
{
    struct pool_config config = bounded_config(check, POOL_OVERFLOW_HEAP);
    config.growth_mode = POOL_GROW_DEFAULT;
    struct pool *pool = check_open(check, &config);
    void *objects[OUT];
    for (int round = 1; round <= 3; round++) {
        struct pool_stats stats;
        check_get_many(pool, objects, OUT);
        KEEP(!check_stats(pool, &stats) || stats.overflow == round * (OUT - OWNED),
             "after %d times %d gets with max %d it counts %lld as overflow", round, OUT, OWNED,
             (long long)stats.overflow);
        check_put_many(pool, objects, OUT);
    }
    check_close(pool);
}

static void past_the_bound_a_get_is_refused(const struct check *check)
{
    struct heard heard = {.smaller = 0};
    struct pool_config config = bounded_config(check, POOL_OVERFLOW_REFUSE);
    config.listener = listen;
    config.listener_context = &heard;
    struct pool *pool = check_open(check, &config);
    void *objects[OWNED];
    for (int run = 1; run <= 3; run++) {
        struct pool_stats stats;
        check_get_many(pool, objects, OWNED);
        for (int i = 0; i < 5; i++)
            KEEP(!pool_get(pool), "%d objects are out, max is %d, and a get is not refused", OWNED, OWNED);
        KEEP(!check_stats(pool, &stats) || (stats.refused == run * 5 && stats.in_use == OWNED &&
                                            stats.peak_in_use == OWNED && stats.overflow == 0),
             "%d gets were refused with %d objects out: refused %lld, in_use %lld, peak_in_use %lld, "
             "overflow %lld",
             run * 5, OWNED, (long long)stats.refused, (long long)stats.in_use, (long long)stats.peak_in_use,
             (long long)stats.overflow);
        KEEP(events(&heard, POOL_EVENT_REFUSE) == run,
             "after run %d of refusals it has told of %d; it has to tell of the first of each run", run,
             events(&heard, POOL_EVENT_REFUSE));
        check_put_many(pool, objects, OWNED);
    }
    check_close(pool);
}

static void every_expansion_is_an_event(const struct check *check)
{
    struct heard heard = {.smaller = 0};
    struct pool_config config = check_config(check, 3072, 4, 0);
    config.listener = listen;
    config.listener_context = &heard;
    struct pool *pool = check_open(check, &config);
    void *objects[MANY];
    struct pool_stats stats;
    check_get_many(pool, objects, MANY);
    bool known = check_stats(pool, &stats);
    KEEP(!known || stats.expansions == events(&heard, POOL_EVENT_EXPAND),
         "it counts %lld expansions and has told of %d", (long long)stats.expansions,
         events(&heard, POOL_EVENT_EXPAND));
    if (check_can(check, POOL_CAP_GROWS)) {
        KEEP(events(&heard, POOL_EVENT_EXPAND) > 0, "it grows, and has told of no expansion in %d gets",
             MANY);
        KEEP(atomic_load(&heard.smaller) == 0, "it told of an expansion to no more than it had");
        KEEP(!known || (stats.longest_expansion_ns > 0 && stats.owned >= MANY),
             "it grew, and longest_expansion_ns is %lld, owned %lld with %d out",
             (long long)stats.longest_expansion_ns, (long long)stats.owned, MANY);
    }
    check_put_many(pool, objects, MANY);
    check_close(pool);
}

// One round: memory is given back while 10 of `objects` stay out. They can be used as before.
static void give_back(const struct check *check, struct pool *pool, void **objects)
{
    struct pool_stats before, after;
    check_put_many(pool, objects + 10, MANY - 10);
    bool known = check_stats(pool, &before);
    KEEP(pool_sweep(pool) >= 0, "sweep gave a negative number of bytes");
    int64_t given_back = pool_trim(pool);
    (void)check_stats(pool, &after);
    KEEP(after.owned <= before.owned, "sweep and trim took owned from %lld to %lld", (long long)before.owned,
         (long long)after.owned);
    if (!check_can(check, POOL_CAP_SHRINKS)) {
        KEEP(given_back == 0 && after.owned == before.owned, "it gives nothing back, and trim did");
        return;
    }
    KEEP(given_back > 0, "%d of %d objects are free, and trim gave back %lld bytes", MANY - 10, MANY,
         (long long)given_back);
    KEEP(!known || (after.bytes_owned < before.bytes_owned && after.owned >= 10),
         "trim gave back %lld bytes: bytes_owned went from %lld to %lld, owned is %lld with 10 out",
         (long long)given_back, (long long)before.bytes_owned, (long long)after.bytes_owned,
         (long long)after.owned);
}

static void trim_and_sweep_give_back_and_leave_a_working_pool(const struct check *check)
{
    struct pool_config config = check_config(check, 3072, 0, 0);
    struct pool *pool = check_open(check, &config);
    void *objects[MANY];
    for (int round = 0; round < 3; round++) {
        check_get_many(pool, objects, MANY);
        give_back(check, pool, objects);
        for (uint32_t i = 0; i < 10; i++)
            check_mark(objects[i], 3072, i);
        check_put_many(pool, objects, 10);
    }
    (void)pool_trim(pool);
    check_close(pool);
}

static void a_drained_pool_gives_no_objects_and_takes_those_that_are_out(const struct check *check)
{
    struct pool_config config = check_config(check, 320, 8, 0);
    struct pool *pool = check_open(check, &config);
    void *objects[MANY];
    check_get_many(pool, objects, MANY);
    KEEP(pool_drain(pool) >= 0, "drain gave a negative number of bytes");
    KEEP(!pool_get(pool), "a get of a drained pool gave an object");
    check_put_many(pool, objects, MANY);
    (void)pool_sweep(pool);
    check_close(pool);
}

const struct promise bound_promises[] = {
    {"preheat_keeps_to_max", POOL_CAP_PREHEATS | POOL_CAP_BOUNDED, preheat_keeps_to_max},
    {"past_the_bound_malloc_serves", POOL_CAP_BOUNDED, past_the_bound_malloc_serves},
    {"overflow_is_what_is_past_the_bound_however_it_grows", POOL_CAP_BOUNDED,
     overflow_is_what_is_past_the_bound_however_it_grows},
    {"past_the_bound_a_get_is_refused", POOL_CAP_BOUNDED, past_the_bound_a_get_is_refused},
    {"every_expansion_is_an_event", 0, every_expansion_is_an_event},
    {"trim_and_sweep_give_back_and_leave_a_working_pool", 0,
     trim_and_sweep_give_back_and_leave_a_working_pool},
    {"a_drained_pool_gives_no_objects_and_takes_those_that_are_out", 0,
     a_drained_pool_gives_no_objects_and_takes_those_that_are_out},
    {0}};
