// SPDX-License-Identifier: Apache-2.0
// The parts that `slab` is made of, each by itself: pages, store and depot.
#include "base/clock.h"
#include "pools/pool_strategy.h"
#include "pools/slab/depot.h"
#include "pools/slab/store.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

// --- pages ----------------------------------------------------------------------------------------------

static void test_geometry_fits_every_size(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= POOL_OBJECT_BYTES_MAX * 3 / 2; bytes += bytes / 7 + 1) {
        struct slab_geometry g;
        slab_geometry_init(&g, bytes, false);
        assert_true(g.stride >= bytes && g.stride % 64 == 0 && g.first % 64 == 0);
        assert_true(bytes < 512 || g.stride / 64 % 2 == 1);
        assert_true(g.slab_bytes >= SLAB_BYTES_MIN && (g.slab_bytes & (g.slab_bytes - 1)) == 0);
        assert_true(g.capacity >= 16);
        assert_true(g.first + g.capacity * g.stride <= g.slab_bytes);
        assert_true(g.first + (g.capacity + 1) * g.stride > g.slab_bytes);
        size_t words = 2 * ((g.capacity + 63) / 64) + (g.pages + 63) / 64;
        assert_true(sizeof(struct slab) + words * 8 <= g.first);
    }
    struct slab_geometry g;
    slab_geometry_init(&g, 3072, false);
    assert_int_equal(g.stride, 3136);
    assert_int_equal(g.capacity, 668);
}

static void test_an_object_knows_its_slab_and_its_index(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 64, 500, 3072, 70000, POOL_OBJECT_BYTES_MAX};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct slab_geometry g;
        slab_geometry_init(&g, sizes[s], false);
        struct slab *slab = slab_map(&g, false);
        assert_non_null(slab);
        for (uint32_t i = 0; i < g.capacity; i += g.capacity / 13 + 1) {
            char *object = slab_object(&g, slab, i);
            assert_ptr_equal(slab_of(&g, object), slab);
            assert_int_equal(slab_index_of(&g, object), i);
        }
        slab_unmap(&g, slab);
    }
}

static void test_bits_are_found_across_words(void **state)
{
    (void)state;
    uint64_t bits[3] = {0};
    slab_bit_set(bits, 0);
    slab_bit_set(bits, 130);
    assert_int_equal(slab_bits_find(bits, 0, 192, true), 0);
    assert_int_equal(slab_bits_find(bits, 1, 192, true), 130);
    assert_int_equal(slab_bits_find(bits, 131, 192, true), 192);
    assert_int_equal(slab_bits_find(bits, 1, 100, true), 100);
    assert_int_equal(slab_bits_find(bits, 0, 192, false), 1);
    memset(bits, 0xff, sizeof bits);
    slab_bit_clear(bits, 64);
    assert_int_equal(slab_bits_find(bits, 3, 192, false), 64);
    assert_int_equal(slab_bits_find(bits, 65, 192, false), 192);
    assert_int_equal(slab_bits_find(bits, 70, 70, false), 70);
}

// Does the kernel have memory behind the page?
static bool has_memory(void *page)
{
    unsigned char here;
    assert_int_equal(mincore(page, 1, &here), 0);
    return here & 1;
}

static void test_pages_come_and_go_with_the_objects_that_need_them(void **state)
{
    (void)state;
    struct slab_geometry g;
    slab_geometry_init(&g, 3072, false);
    struct slab *slab = slab_map(&g, false);
    assert_non_null(slab);
    assert_int_equal(slab->resident, 1); // the header's
    assert_int_equal(slab_pages_fill(&g, slab, 100, 50, true), 0);
    uint32_t resident = slab->resident;
    uint64_t *ready = slab_ready_bits(&g, slab);
    for (uint32_t i = 100; i < 150; i++) {
        slab_bit_set(ready, i);
        char *object = slab_object(&g, slab, i);
        assert_true(has_memory((char *)((uintptr_t)object & ~(uintptr_t)(g.page_bytes - 1))));
        memset(object, (int)i, 3072);
    }
    assert_int_equal(slab_pages_release(&g, slab), 0);
    for (uint32_t i = 100; i < 150; i++)
        if (i != 120)
            slab_bit_clear(ready, i);
    uint32_t released = slab_pages_release(&g, slab);
    assert_int_equal(slab->resident, resident - released);
    assert_true(slab->resident <= 3); // header, and one or two for the survivor
    const unsigned char *survivor = slab_object(&g, slab, 120);
    assert_int_equal(survivor[0], 120);
    assert_int_equal(survivor[3071], 120);
    for (uint32_t page = 0; page < g.pages; page++)
        assert_int_equal(has_memory((char *)slab + page * g.page_bytes),
                         slab_bit(slab_resident_bits(&g, slab), page));
    slab_unmap(&g, slab);
}

static void test_pages_that_do_not_come_change_nothing(void **state)
{
    (void)state;
    struct slab_geometry g;
    slab_geometry_init(&g, 3072, false);
    struct slab *slab = slab_map(&g, false);
    assert_non_null(slab);
    assert_int_equal(slab_pages_fill(&g, slab, 10, 2, true), 0);
    uint32_t resident = slab->resident;
    (void)pool_memory_fail_after(1, true); // the first run of absent pages comes, the second does not
    assert_int_equal(slab_pages_fill(&g, slab, 5, 20, true), -ENOMEM);
    (void)pool_memory_fail_after(-1, false);
    assert_int_equal(slab->resident, resident);
    for (uint32_t page = 0; page < g.pages; page++)
        assert_int_equal(has_memory((char *)slab + page * g.page_bytes),
                         slab_bit(slab_resident_bits(&g, slab), page));
    slab_unmap(&g, slab);
}

// --- store ----------------------------------------------------------------------------------------------

static int64_t grow(struct slab_store *store, int64_t count)
{
    pthread_mutex_lock(&store->grow_lock);
    int64_t made = slab_store_grow(store, count, SLAB_AT_LEISURE);
    pthread_mutex_unlock(&store->grow_lock);
    assert_true(slab_store_is_valid(store));
    return made;
}

static int64_t retire(struct slab_store *store, int64_t count)
{
    int64_t bytes = 0;
    pthread_mutex_lock(&store->grow_lock);
    int64_t before = store->resident_pages, retired = slab_store_retire(store, count, &bytes);
    assert_int_equal(bytes, (before - store->resident_pages) * (int64_t)store->geometry.page_bytes);
    pthread_mutex_unlock(&store->grow_lock);
    assert_true(slab_store_is_valid(store));
    return retired;
}

// Does it make a slab as one piece, of which everybody hears at once?
static bool comes_as_one(struct slab_store *store, enum slab_haste haste)
{
    uint64_t before = store->generation;
    int64_t count = store->geometry.capacity;
    pthread_mutex_lock(&store->grow_lock);
    assert_int_equal(slab_store_grow(store, count, haste), count);
    pthread_mutex_unlock(&store->grow_lock);
    assert_true(slab_store_is_valid(store));
    return store->generation == before + 1;
}

static void test_slabs_come_by_pieces_when_somebody_waits_or_huge_pages_were_slow(void **state)
{
    (void)state;
    struct slab_store store;
    assert_int_equal(slab_store_open(&store, 3072, true, false, false), 0);
    atomic_store(&slab_huge.small_until_ns, 0);
    assert_true(comes_as_one(&store, SLAB_AHEAD));
    assert_false(comes_as_one(&store, SLAB_NOW));
    atomic_store(&slab_huge.small_until_ns, INT64_MAX);
    assert_false(comes_as_one(&store, SLAB_AHEAD));
    assert_true(comes_as_one(&store, SLAB_AT_LEISURE)); // nobody waits
    assert_int_equal(store.slab_count, 4);
    slab_store_close(&store);
}

static int64_t pause_after(int64_t cpu_ns)
{
    const int64_t now_ns = 1000 * NS_PER_S;
    atomic_store(&slab_huge.small_until_ns, 0);
    slab_huge_took(cpu_ns, now_ns);
    int64_t until_ns = atomic_load(&slab_huge.small_until_ns);
    return until_ns ? until_ns - now_ns : 0;
}

static void test_the_pause_after_slow_huge_pages_doubles_and_halves(void **state)
{
    (void)state;
    atomic_store(&slab_huge.slow, 0);
    assert_int_equal(pause_after(NS_PER_MS / 4), 0);
    assert_int_equal(pause_after(3 * NS_PER_MS), NS_PER_S);
    assert_int_equal(pause_after(3 * NS_PER_MS), 2 * NS_PER_S);
    assert_int_equal(pause_after(3 * NS_PER_MS), 4 * NS_PER_S);
    assert_int_equal(pause_after(NS_PER_MS / 4), 0);
    assert_int_equal(pause_after(3 * NS_PER_MS), 4 * NS_PER_S);
    for (int i = 0; i < 20; i++)
        (void)pause_after(3 * NS_PER_MS);
    assert_int_equal(pause_after(3 * NS_PER_MS), 64 * NS_PER_S);
    atomic_store(&slab_huge.slow, 0);
    atomic_store(&slab_huge.small_until_ns, 0);
}

static void test_the_fullest_slab_gives_first_and_unused_ones_go_back(void **state)
{
    (void)state;
    enum { CAPACITY = 668, COUNT = 3 * CAPACITY };
    struct slab_store store;
    static void *objects[COUNT];
    assert_int_equal(slab_store_open(&store, 3072, true, false, false), 0);
    assert_int_equal(grow(&store, COUNT), COUNT);
    assert_int_equal(store.slab_count, 3);
    assert_int_equal(slab_store_take(&store, objects, COUNT), COUNT);
    assert_int_equal(slab_store_take(&store, objects, 1), 0);
    // One slab with 10 objects free, one with 600, one with all.
    struct slab *full = store.slabs[0], *sparse = store.slabs[1], *unused = store.slabs[2];
    int full_free = 0, sparse_free = 0;
    for (int i = 0; i < COUNT; i++) {
        struct slab *slab = slab_of(&store.geometry, objects[i]);
        if (slab == unused || (slab == full && full_free++ < 10) || (slab == sparse && sparse_free++ < 600))
            slab_store_give(&store, &objects[i], 1);
    }
    assert_true(slab_store_is_valid(&store));
    void *got[11];
    assert_int_equal(slab_store_take(&store, got, 11), 11);
    int from_full = 0, from_sparse = 0;
    for (int i = 0; i < 11; i++) {
        from_full += slab_of(&store.geometry, got[i]) == full;
        from_sparse += slab_of(&store.geometry, got[i]) == sparse;
    }
    assert_int_equal(from_full, 10);
    assert_int_equal(from_sparse, 1);
    slab_store_give(&store, got, 11);
    assert_int_equal(retire(&store, CAPACITY), CAPACITY);
    assert_int_equal(store.slab_count, 2);
    assert_true(store.slabs[0] == full && store.slabs[1] == sparse);
    assert_int_equal(retire(&store, 100000), 610); // what is in use stays
    assert_int_equal(store.slab_count, 2);
    assert_int_equal(grow(&store, 610), 610); // into the holes
    assert_int_equal(store.slab_count, 2);
    slab_store_close(&store);
}

static void test_the_store_knows_its_own(void **state)
{
    (void)state;
    struct slab_store store;
    void *object;
    char other[64];
    assert_int_equal(slab_store_open(&store, 100, true, false, false), 0);
    assert_false(slab_store_owns(&store, other));
    assert_int_equal(grow(&store, 50), 50);
    assert_int_equal(slab_store_take(&store, &object, 1), 1);
    assert_true(slab_store_owns(&store, object));
    assert_false(slab_store_owns(&store, (char *)object + 1));
    assert_false(slab_store_owns(&store, slab_of(&store.geometry, object)));
    assert_false(slab_store_owns(&store, slab_object(&store.geometry, store.slabs[0], 50)));
    assert_false(slab_store_owns(&store, other));
    slab_store_close(&store);
}

// --- depot ----------------------------------------------------------------------------------------------

static void test_magazines_come_by_the_page_and_go_back(void **state)
{
    (void)state;
    struct slab_depot depot;
    assert_int_equal(slab_depot_open(&depot, 64, 10000), 0);
    assert_int_equal(slab_depot_pop(&depot, &depot.empty), 0);
    assert_int_equal(slab_depot_make(&depot, 100), 0);
    int64_t bytes = slab_depot_bytes(&depot);
    uint32_t magazines[104];
    int count = 0;
    while (count < 104 && (magazines[count] = slab_depot_pop(&depot, &depot.empty))) {
        memset(slab_magazine_rounds(&depot, magazines[count]), 1, 64 * sizeof(void *));
        count++;
    }
    assert_int_equal(count, 104); // thirteen pages of eight
    assert_int_equal(slab_depot_shrink(&depot, 0), 0);
    for (int i = 0; i < count; i++)
        slab_depot_push(&depot, i < 8 ? &depot.full[0] : &depot.empty, magazines[i]);
    assert_int_equal(slab_depot_held(&depot), 8 * 64);
    assert_true(slab_depot_shrink(&depot, 40) > 0);
    assert_true(slab_depot_bytes(&depot) < bytes);
    count = 0;
    while (slab_depot_pop(&depot, &depot.empty))
        count++;
    assert_true(count + 8 >= 40 && count + 8 < 56);
    assert_int_equal(slab_depot_make(&depot, 1000000), 0); // as many as the limit allows
    slab_depot_close(&depot);
}

struct shuffle {
    struct slab_depot *depot;
    atomic_int wrong;
};

// Moves magazines to and fro, and writes its own mark into each while it has it.
static void *shuffle_magazines(void *argument)
{
    struct shuffle *shuffle = argument;
    struct slab_depot *depot = shuffle->depot;
    for (int i = 0; i < 20000; i++) {
        struct slab_stack *from = i % 2 ? &depot->full[0] : &depot->empty;
        uint32_t magazine = slab_depot_pop(depot, from);
        if (!magazine)
            continue;
        void **rounds = slab_magazine_rounds(depot, magazine);
        rounds[0] = rounds[depot->capacity - 1] = &i;
        if (rounds[0] != &i || rounds[depot->capacity - 1] != &i)
            atomic_fetch_add(&shuffle->wrong, 1);
        slab_depot_push(depot, i % 3 ? &depot->full[0] : &depot->empty, magazine);
    }
    return NULL;
}

static void test_threads_never_have_the_same_magazine(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct slab_depot depot;
    assert_int_equal(slab_depot_open(&depot, 64, 10000), 0);
    assert_int_equal(slab_depot_make(&depot, 16), 0);
    struct shuffle shuffle = {.depot = &depot};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shuffle_magazines, &shuffle), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&shuffle.wrong), 0);
    bool seen[17] = {false};
    int count = 0;
    for (uint32_t magazine; (magazine = slab_depot_pop(&depot, &depot.full[0])) ||
                            (magazine = slab_depot_pop(&depot, &depot.empty));
         count++) {
        assert_true(magazine <= 16 && !seen[magazine]);
        seen[magazine] = true;
    }
    assert_int_equal(count, 16);
    slab_depot_close(&depot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_geometry_fits_every_size),
        cmocka_unit_test(test_an_object_knows_its_slab_and_its_index),
        cmocka_unit_test(test_bits_are_found_across_words),
        cmocka_unit_test(test_pages_come_and_go_with_the_objects_that_need_them),
        cmocka_unit_test(test_pages_that_do_not_come_change_nothing),
        cmocka_unit_test(test_slabs_come_by_pieces_when_somebody_waits_or_huge_pages_were_slow),
        cmocka_unit_test(test_the_pause_after_slow_huge_pages_doubles_and_halves),
        cmocka_unit_test(test_the_fullest_slab_gives_first_and_unused_ones_go_back),
        cmocka_unit_test(test_the_store_knows_its_own),
        cmocka_unit_test(test_magazines_come_by_the_page_and_go_back),
        cmocka_unit_test(test_threads_never_have_the_same_magazine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
