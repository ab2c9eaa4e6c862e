// SPDX-License-Identifier: Apache-2.0
// What a strategy promises of its objects and its counts, to one thread.
#include "pools/contract/check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { MANY = 150 };

static void objects_are_aligned_distinct_and_writable_to_the_last_byte(const struct check *check)
{
    static const size_t sizes[] = {1, 16, 24, 100, 256, 3072, 4096, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct pool_config config = check_config(check, sizes[i], 10, 0);
        struct pool *pool = check_open(check, &config);
        void *objects[MANY];
        check_get_many(pool, objects, MANY);
        for (uint32_t n = 0; n < MANY; n++) {
            KEEP((uintptr_t)objects[n] % 16 == 0,
                 "objects of %zu bytes: the address of one is no multiple of 16: %p", sizes[i], objects[n]);
            check_mark(objects[n], sizes[i], n);
        }
        for (uint32_t n = 0; n < MANY && !check_can(check, POOL_CAP_SHARES); n++)
            KEEP(check_is_marked(objects[n], sizes[i], n),
                 "objects of %zu bytes: what was written to one was overwritten by what was written to "
                 "another",
                 sizes[i]);
        check_put_many(pool, objects, MANY);
        check_close(pool);
    }
}

static void an_object_in_use_is_left_alone(const struct check *check)
{
    struct pool_config config = check_config(check, 640, 8, 0);
    struct pool *pool = check_open(check, &config);
    void *objects[MANY], *kept = check_get(pool);
    check_mark(kept, config.object_bytes, 1);
    for (int round = 0; round < 3 && !check_can(check, POOL_CAP_SHARES); round++) {
        check_get_many(pool, objects, MANY);
        check_put_many(pool, objects, MANY);
        (void)pool_sweep(pool);
        (void)pool_trim(pool);
        KEEP(check_is_marked(kept, config.object_bytes, 1),
             "an object that was not put was written to while others were got, put, swept and trimmed");
    }
    pool_put(pool, kept);
    check_close(pool);
}

static void statistics_add_up(const struct check *check)
{
    struct pool_config config = check_config(check, 200, 0, 0);
    struct pool *pool = check_open(check, &config);
    void *objects[MANY];
    struct pool_stats stats;
    bool known = check_stats(pool, &stats);
    KEEP(stats.gets == 0 && stats.peak_in_use == 0, "a new pool has counted %lld gets",
         (long long)stats.gets);
    check_get_many(pool, objects, MANY);
    (void)check_stats(pool, &stats);
    KEEP(!known || (stats.gets == MANY && stats.in_use == MANY && stats.peak_in_use == MANY),
         "after %d gets it counts gets %lld, in_use %lld, peak_in_use %lld", MANY, (long long)stats.gets,
         (long long)stats.in_use, (long long)stats.peak_in_use);
    check_put_many(pool, objects, MANY - 10);
    check_get_many(pool, objects, 5);
    (void)check_stats(pool, &stats);
    KEEP(!known || (stats.gets == MANY + 5 && stats.puts == MANY - 10 && stats.in_use == 15),
         "after %d gets and %d puts it counts gets %lld, puts %lld, in_use %lld", MANY + 5, MANY - 10,
         (long long)stats.gets, (long long)stats.puts, (long long)stats.in_use);
    KEEP(!known || stats.peak_in_use == MANY, "the most in use at once were %d, and peak_in_use is %lld",
         MANY, (long long)stats.peak_in_use);
    KEEP(stats.refused + stats.failed == 0, "no get gave NULL, and refused is %lld, failed %lld",
         (long long)stats.refused, (long long)stats.failed);
    check_put_many(pool, objects, 5);
    check_put_many(pool, objects + MANY - 10, 10);
    check_close(pool);
}

static void putting_null_is_nothing(const struct check *check)
{
    struct pool_config config = check_config(check, 200, 0, 0);
    struct pool *pool = check_open(check, &config);
    struct pool_stats stats;
    pool_put(pool, NULL);
    (void)check_stats(pool, &stats);
    KEEP(stats.puts == 0, "NULL was put, and puts is %lld", (long long)stats.puts);
    check_close(pool);
    pool_close(NULL);
}

static void other_sizes_are_served_as_the_flags_say(const struct check *check)
{
    struct pool_config config = check_config(check, 1000, 0, 0);
    struct pool *pool = check_open(check, &config);
    void *small = pool_get_bytes(pool, 1), *whole = pool_get_bytes(pool, 1000);
    KEEP(small && whole, "a get of no more than object_bytes gave NULL");
    check_mark(whole, 1000, 7);
    void *large = pool_get_bytes(pool, 5000);
    if (check_can(check, POOL_CAP_SIZED)) {
        KEEP(large, "a get of 5000 bytes gave NULL, and it serves other sizes than object_bytes");
        check_mark(large, 5000, 8);
        KEEP(check_is_marked(whole, 1000, 7) && check_is_marked(large, 5000, 8),
             "objects of 1000 and 5000 bytes overlap");
        KEEP(!pool_get_bytes(pool, POOL_OBJECT_BYTES_MAX + 1),
             "a get of more than the most bytes gave an object");
    } else {
        KEEP(!large, "a get of 5000 bytes gave an object, and it serves no other sizes than object_bytes");
    }
    pool_put(pool, small);
    pool_put(pool, whole);
    pool_put(pool, large);
    check_close(pool);
}

static void preheat_makes_objects_ready_or_says_it_cannot(const struct check *check)
{
    struct pool_config config = check_config(check, 500, 40, 0);
    struct pool *pool = check_open(check, &config);
    struct pool_stats stats;
    void *objects[40];
    if (!check_can(check, POOL_CAP_PREHEATS)) {
        KEEP(pool_preheat(pool, 1) == -ENOTSUP,
             "it makes no objects ahead, and preheat does not say -ENOTSUP");
        check_close(pool);
        return;
    }
    bool known = check_stats(pool, &stats);
    KEEP(!known || stats.owned >= 40, "initial is 40, and it owns %lld", (long long)stats.owned);
    check_get_many(pool, objects, 20);
    (void)check_stats(pool, &stats);
    KEEP(!known || stats.hits == 20, "20 of 40 objects made ahead were got, and hits is %lld",
         (long long)stats.hits);
    check_put_many(pool, objects, 20);
    (void)check_stats(pool, &stats);
    int64_t owned = stats.owned;
    KEEP(pool_preheat(pool, 0) == 0 && pool_preheat(pool, 40) == 0, "preheat of 40 more objects fails");
    (void)check_stats(pool, &stats);
    KEEP(!known || stats.owned >= owned + 40, "preheat of 40 more objects took owned from %lld to %lld",
         (long long)owned, (long long)stats.owned);
    check_get_many(pool, objects, 40);
    (void)check_stats(pool, &stats);
    KEEP(!known || stats.hits == 60, "60 gets found objects made ahead, and hits is %lld",
         (long long)stats.hits);
    check_put_many(pool, objects, 40);
    KEEP(pool_preheat(pool, -1) == -ERANGE, "preheat of -1 objects does not say -ERANGE");
    check_close(pool);
}

// Before anything is written to them, the kernel has pages behind objects that were made with touch.
static void touched_objects_have_their_pages(const struct check *check)
{
    enum { COUNT = 16, PAGE = 4096 };
    struct pool_config config = check_config(check, 2 * PAGE, 2 * COUNT, 0);
    config.touch = true;
    struct pool *pool = check_open(check, &config);
    void *objects[COUNT];
    check_get_many(pool, objects, COUNT);
    for (int i = 0; i < COUNT; i++) {
        unsigned char resident[3];
        uintptr_t first = (uintptr_t)objects[i] & ~(uintptr_t)(PAGE - 1);
        size_t bytes = (uintptr_t)objects[i] + config.object_bytes - first;
        KEEP(mincore((void *)first, bytes, resident) == 0, "the kernel does not know the pages of an object");
        for (size_t page = 0; page < (bytes + PAGE - 1) / PAGE; page++)
            KEEP(resident[page] & 1,
                 "an object made ahead, with touch, has a page that was never written to");
    }
    check_put_many(pool, objects, COUNT);
    check_close(pool);
}

static void a_pool_can_be_opened_and_closed_again_and_again(const struct check *check)
{
    for (int time = 0; time < 50; time++) {
        struct pool_config config = check_config(check, 256, 8, 0);
        config.growth_mode = time % 2 ? POOL_GROW_BACKGROUND : POOL_GROW_INLINE;
        pool_config_fit(check->strategy, &config);
        struct pool *pool = check_open(check, &config);
        void *objects[20];
        check_get_many(pool, objects, time % 20);
        check_put_many(pool, objects, time % 20);
        check_close(pool);
    }
}

static void two_pools_of_a_strategy_do_not_mix(const struct check *check)
{
    enum { COUNT = 30 };
    struct pool_config config_a = check_config(check, 64, 8, 0), config_b = check_config(check, 640, 8, 0);
    struct pool *a = check_open(check, &config_a), *b = check_open(check, &config_b);
    void *from_a[COUNT], *from_b[COUNT];
    struct pool_stats stats;
    for (int round = 0; round < 3; round++) {
        check_get_many(a, from_a, COUNT);
        check_get_many(b, from_b, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            check_mark(from_a[i], 64, i);
            check_mark(from_b[i], 640, i + 100);
        }
        for (uint32_t i = 0; i < COUNT && !check_can(check, POOL_CAP_SHARES); i++)
            KEEP(check_is_marked(from_a[i], 64, i) && check_is_marked(from_b[i], 640, i + 100),
                 "objects of two pools overlap");
        check_put_many(b, from_b, COUNT);
        check_put_many(a, from_a, COUNT);
    }
    KEEP(!check_stats(a, &stats) || stats.gets == 3 * COUNT,
         "a pool counts gets of another: %d were its own, it has %lld", 3 * COUNT, (long long)stats.gets);
    check_close(a);
    check_close(b);
}

static void the_config_is_remembered_as_asked_for(const struct check *check)
{
    char name[] = "written over";
    struct pool_config config = check_config(check, 77, 3, 9);
    config.name = name;
    struct pool *pool = check_open(check, &config);
    memset(name, 'x', sizeof name - 1);
    const struct pool_config *kept = pool_config_of(pool);
    KEEP(strcmp(kept->name, "written over") == 0, "the pool's name is now \"%s\"", kept->name);
    KEEP(kept->object_bytes == 77 && kept->initial == config.initial && kept->max == config.max,
         "the pool's configuration is not what was asked for");
    KEEP(pool_strategy_of(pool) == check->strategy, "the pool is of another strategy");
    check_close(pool);
}

const struct promise object_promises[] = {
    {"objects_are_aligned_distinct_and_writable_to_the_last_byte", 0,
     objects_are_aligned_distinct_and_writable_to_the_last_byte},
    {"an_object_in_use_is_left_alone", 0, an_object_in_use_is_left_alone},
    {"statistics_add_up", 0, statistics_add_up},
    {"putting_null_is_nothing", 0, putting_null_is_nothing},
    {"other_sizes_are_served_as_the_flags_say", 0, other_sizes_are_served_as_the_flags_say},
    {"preheat_makes_objects_ready_or_says_it_cannot", 0, preheat_makes_objects_ready_or_says_it_cannot},
    {"touched_objects_have_their_pages", POOL_CAP_PREHEATS, touched_objects_have_their_pages},
    {"a_pool_can_be_opened_and_closed_again_and_again", 0, a_pool_can_be_opened_and_closed_again_and_again},
    {"two_pools_of_a_strategy_do_not_mix", 0, two_pools_of_a_strategy_do_not_mix},
    {"the_config_is_remembered_as_asked_for", 0, the_config_is_remembered_as_asked_for},
    {0}};
