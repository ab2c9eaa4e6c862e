// SPDX-License-Identifier: Apache-2.0
// Typed pools of buffers and maps over every strategy: an object is empty when it is got and keeps its
// capacity, one that grew too large is not kept, nothing of a user reaches the next one. See
// tests/pool_contract.h.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "pools/typed/typed_bytes.h"
#include "pools/typed/typed_map.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 512, KEEP = 4096, ENTRIES = 16, KEEP_ENTRIES = 200, OBJECTS = 20, THREADS = 4, ROUNDS = 300 };

static const struct typed_limits byte_limits = {.capacity = FIRST, .keep_max = KEEP, .wipe = false};
static const struct typed_limits wiping = {.capacity = FIRST, .keep_max = KEEP, .wipe = true};
static const struct typed_limits map_limits = {.capacity = ENTRIES, .keep_max = KEEP_ENTRIES, .wipe = false};

static bool is_left_out(const struct pool_strategy *strategy)
{
    return pool_strategy_caps(strategy) & POOL_CAP_SHARES;
}

static bool keeps(const struct pool_strategy *strategy)
{
    // malloc constructs each time anew.
    return pool_strategy_caps(strategy) & POOL_CAP_CONSTRUCTS &&
           strcmp(pool_strategy_name(strategy), "malloc") != 0;
}

static struct pool_config config_of(const struct pool_strategy *strategy, int64_t initial, int64_t max)
{
    return contract_config(strategy, 0, initial, max);
}

static struct typed_bytes_pool *open_bytes(const struct pool_strategy *strategy,
                                           const struct typed_limits *limits)
{
    struct pool_config config = config_of(strategy, OBJECTS, 0);
    struct typed_bytes_pool *pool;
    struct err err = {0};
    if (typed_bytes_pool_open(&pool, strategy, &config, limits, &err) < 0)
        fail_msg("%s", err.text);
    return pool;
}

static struct typed_map_pool *open_maps(const struct pool_strategy *strategy, typed_map_release *release)
{
    struct pool_config config = config_of(strategy, OBJECTS, 0);
    struct typed_map_pool *pool;
    struct err err = {0};
    if (typed_map_pool_open(&pool, strategy, &config, &map_limits, release, &err) < 0)
        fail_msg("%s", err.text);
    return pool;
}

static void fill(struct typed_bytes *bytes, size_t length)
{
    assert_int_equal(typed_bytes_resize(bytes, length), 0);
    memset(bytes->data, 0xA5, length);
}

static void test_a_buffer_comes_empty_and_shows_nothing_of_the_last_user(void **state)
{
    if (is_left_out(*state))
        return;
    struct typed_bytes_pool *pool = open_bytes(*state, &byte_limits);
    for (int round = 0; round < 3 * OBJECTS; round++) {
        struct typed_bytes *bytes = typed_bytes_get(pool);
        assert_non_null(bytes);
        assert_int_equal(bytes->length, 0);
        assert_true(bytes->capacity >= FIRST);
        assert_int_equal(typed_bytes_resize(bytes, 2 * FIRST), 0);
        for (size_t i = 0; i < 2 * FIRST; i++)
            assert_int_equal(bytes->data[i], 0);
        fill(bytes, 2 * FIRST);
        assert_int_equal(typed_bytes_resize(bytes, 10), 0);
        assert_int_equal(typed_bytes_resize(bytes, FIRST), 0);
        assert_int_equal((unsigned char)bytes->data[9], 0xA5);
        assert_int_equal(bytes->data[10], 0);
        typed_bytes_put(pool, bytes);
    }
    contract_stats(typed_bytes_pool_below(pool));
    typed_bytes_pool_close(pool);
}

static void use_bytes(struct typed_bytes_pool *pool, size_t length)
{
    struct typed_bytes *held[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        assert_non_null(held[i] = typed_bytes_get(pool));
        fill(held[i], length);
    }
    for (int i = 0; i < OBJECTS; i++)
        typed_bytes_put(pool, held[i]);
}

static void test_a_buffer_keeps_what_it_grew_to(void **state)
{
    if (is_left_out(*state))
        return;
    struct typed_bytes_pool *pool = open_bytes(*state, &byte_limits);
    use_bytes(pool, KEEP);
    use_bytes(pool, KEEP);
    pool_memory_fail_after(INT64_MAX, false); // counts
    use_bytes(pool, KEEP);
    int64_t requests = pool_memory_fail_after(-1, false);
    if (keeps(*state))
        assert_int_equal(requests, 0);
    else
        assert_true(requests > OBJECTS);
    assert_int_equal(typed_bytes_pool_dropped(pool), 0);
    typed_bytes_pool_close(pool);
}

static void test_a_buffer_that_grew_too_large_is_not_kept(void **state)
{
    if (is_left_out(*state))
        return;
    struct typed_bytes_pool *pool = open_bytes(*state, &byte_limits);
    use_bytes(pool, KEEP + 1);
    assert_int_equal(typed_bytes_pool_dropped(pool), OBJECTS);
    struct typed_bytes *held[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        assert_non_null(held[i] = typed_bytes_get(pool));
        assert_int_equal(held[i]->capacity, FIRST);
    }
    for (int i = 0; i < OBJECTS; i++)
        typed_bytes_put(pool, held[i]);
    assert_int_equal(typed_bytes_pool_dropped(pool), OBJECTS);
    contract_stats(typed_bytes_pool_below(pool));
    typed_bytes_pool_close(pool);
}

static void test_a_pool_that_wipes_leaves_zeros(void **state)
{
    if (is_left_out(*state) || !keeps(*state))
        return;
    for (int wipes = 0; wipes < 2; wipes++) {
        struct typed_bytes_pool *pool = open_bytes(*state, wipes ? &wiping : &byte_limits);
        struct typed_bytes *bytes = typed_bytes_get(pool);
        assert_non_null(bytes);
        fill(bytes, FIRST);
        assert_int_equal(typed_bytes_resize(bytes, 1), 0); // the bytes beyond were written too
        const char *data = bytes->data;
        typed_bytes_put(pool, bytes);
        size_t left = 0; // the memory is still the pool's
        for (size_t i = 0; i < FIRST; i++)
            left += data[i] != 0;
        assert_int_equal(left, wipes ? 0 : FIRST);
        typed_bytes_pool_close(pool);
    }
}

static bool has(const char *memory, size_t bytes, const char *word)
{
    return memmem(memory, bytes, word, strlen(word)) != NULL;
}

static void test_a_map_that_wipes_leaves_no_keys(void **state)
{
    if (is_left_out(*state) || !keeps(*state))
        return;
    for (int wipes = 0; wipes < 2; wipes++) {
        struct pool_config config = config_of(*state, 1, 0);
        struct typed_limits limits = {.capacity = ENTRIES, .keep_max = KEEP_ENTRIES, .wipe = wipes};
        struct typed_map_pool *pool;
        struct err err = {0};
        assert_int_equal(typed_map_pool_open(&pool, *state, &config, &limits, NULL, &err), 0);
        struct typed_map *map = typed_map_get(pool);
        assert_non_null(map);
        for (int k = 0; k < 3; k++) {
            char key[20];
            int length = snprintf(key, sizeof key, "secret-%d", k);
            assert_int_equal(typed_map_set(map, key, (size_t)length, map), 0);
        }
        const struct typed_map_entry *first = typed_map_first(map);
        const char *at = (const char *)first;
        size_t bytes = (size_t)((const char *)typed_map_next(typed_map_next(first)) - at) + sizeof *first;
        assert_int_equal(typed_map_remove(map, "secret-1", 8), 0);
        typed_map_clear(map); // the user's own; then one entry
        assert_int_equal(typed_map_set(map, "x", 1, NULL), 0);
        typed_map_put(pool, map);
        assert_int_equal(has(at, bytes, "secret-1"), !wipes); // the memory is still the pool's
        typed_map_pool_close(pool);
    }
}

static int64_t open_and_use(const struct pool_strategy *strategy, int64_t nth, bool stay)
{
    struct pool_config config = config_of(strategy, 4, 0);
    struct typed_bytes_pool *bytes_pool = NULL;
    struct typed_map_pool *map_pool = NULL;
    struct err err = {0};
    pool_memory_fail_after(nth, stay);
    int code = typed_bytes_pool_open(&bytes_pool, strategy, &config, &byte_limits, &err);
    assert_true(code == 0 || code == -ENOMEM);
    for (int i = 0; code == 0 && i < 3; i++) {
        struct typed_bytes *bytes = typed_bytes_get(bytes_pool);
        // The second and third find the memory of one that was too large gone.
        if (bytes && typed_bytes_append(bytes, "text", 4) == 0 && typed_bytes_reserve(bytes, 2 * KEEP) < 0) {
            assert_int_equal(bytes->length, 4);
            assert_memory_equal(bytes->data, "text", 4);
        }
        typed_bytes_put(bytes_pool, bytes);
    }
    code = typed_map_pool_open(&map_pool, strategy, &config, &map_limits, NULL, &err);
    assert_true(code == 0 || code == -ENOMEM);
    for (int i = 0; code == 0 && i < 2; i++) {
        struct typed_map *map = typed_map_get(map_pool);
        size_t set = 0;
        for (int k = 0; map && k < 3 * KEEP_ENTRIES; k++) {
            char key[64];
            int length = snprintf(key, sizeof key, "%0*d", k % 7 ? 4 : 50, k);
            if (typed_map_set(map, key, (size_t)length, map) == 0) {
                set++;
                assert_non_null(typed_map_find(map, key, (size_t)length));
            } else {
                assert_null(typed_map_find(map, key, (size_t)length));
            }
            assert_int_equal(typed_map_count(map), set);
        }
        typed_map_put(map_pool, map);
    }
    int64_t came = pool_memory_fail_after(-1, false);
    typed_bytes_pool_close(bytes_pool);
    typed_map_pool_close(map_pool);
    return came;
}

static void test_each_request_of_memory_may_fail(void **state)
{
    if (is_left_out(*state))
        return;
    for (int stay = 0; stay < 2; stay++) {
        for (int64_t nth = 0; open_and_use(*state, nth, stay) > nth; nth++) {
        }
    }
}

static atomic_int balance; // values set and not yet released

static void release_one(void *value)
{
    (void)value;
    atomic_fetch_sub(&balance, 1);
}

static int set_one(struct typed_map *map, int number)
{
    char key[64];
    int length = snprintf(key, sizeof key, "%0*d", number % 5 ? 6 : 45, number);
    int code = typed_map_set(map, key, (size_t)length, &balance);
    if (code == 0)
        atomic_fetch_add(&balance, 1);
    return code;
}

static void use_maps(struct typed_map_pool *pool, int entries)
{
    struct typed_map *held[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        assert_non_null(held[i] = typed_map_get(pool));
        assert_int_equal(typed_map_count(held[i]), 0);
        assert_null(typed_map_first(held[i]));
        assert_null(typed_map_find(held[i], "000001", 6));
        for (int k = 0; k < entries; k++)
            assert_int_equal(set_one(held[i], k), 0);
        assert_int_equal(typed_map_count(held[i]), entries);
    }
    for (int i = 0; i < OBJECTS; i++)
        typed_map_put(pool, held[i]);
}

static void test_a_map_comes_empty_and_its_values_are_released(void **state)
{
    if (is_left_out(*state))
        return;
    struct typed_map_pool *pool = open_maps(*state, release_one);
    for (int entries = 1; entries <= KEEP_ENTRIES / 2; entries *= 3)
        use_maps(pool, entries);
    assert_int_equal(atomic_load(&balance), 0);
    typed_map_pool_close(pool);
}

// Keys that fit into the entries: long ones have memory of their own.
static void fill_map(struct typed_map *map, int entries)
{
    for (int k = 0; k < entries; k++) {
        char key[TYPED_MAP_KEY_INLINE + 1];
        int length = snprintf(key, sizeof key, "%0*d", TYPED_MAP_KEY_INLINE, k);
        assert_int_equal(typed_map_set(map, key, (size_t)length, map), 0);
    }
}

static void test_a_map_of_the_pool_is_filled_without_allocating(void **state)
{
    if (is_left_out(*state) || !keeps(*state))
        return;
    struct typed_map_pool *pool = open_maps(*state, NULL);
    int64_t requests = 0;
    for (int round = 0; round < 3; round++) {
        struct typed_map *held[OBJECTS];
        pool_memory_fail_after(INT64_MAX, false); // counts
        for (int i = 0; i < OBJECTS; i++) {
            assert_non_null(held[i] = typed_map_get(pool));
            fill_map(held[i], 120); // more than the table's first buckets serve
        }
        for (int i = 0; i < OBJECTS; i++)
            typed_map_put(pool, held[i]);
        requests = pool_memory_fail_after(-1, false);
        if (round == 0)
            assert_true(requests > OBJECTS);
    }
    assert_int_equal(requests, 0);
    typed_map_pool_close(pool);
}

static void test_a_map_that_grew_too_large_is_not_kept(void **state)
{
    if (is_left_out(*state))
        return;
    struct typed_map_pool *pool = open_maps(*state, release_one);
    use_maps(pool, KEEP_ENTRIES + 100);
    assert_int_equal(typed_map_pool_dropped(pool), OBJECTS);
    assert_int_equal(atomic_load(&balance), 0);
    for (int i = 0; i < OBJECTS; i++) {
        struct typed_map *map = typed_map_get(pool);
        assert_non_null(map);
        assert_int_equal(typed_map_capacity(map), ENTRIES);
        typed_map_put(pool, map);
    }
    typed_map_pool_close(pool);
}

static void test_a_bound_refuses_and_a_drained_pool_gives_nothing(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (is_left_out(strategy) || !(pool_strategy_caps(strategy) & POOL_CAP_BOUNDED))
        return;
    struct pool_config config = config_of(strategy, 2, 2);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct typed_bytes_pool *pool;
    struct err err = {0};
    assert_int_equal(typed_bytes_pool_open(&pool, strategy, &config, &byte_limits, &err), 0);
    struct typed_bytes *one = typed_bytes_get(pool), *two = typed_bytes_get(pool);
    assert_true(one && two);
    assert_null(typed_bytes_get(pool));
    typed_bytes_put(pool, one);
    (void)pool_drain(typed_bytes_pool_below(pool));
    assert_null(typed_bytes_get(pool));
    fill(two, 3 * KEEP);
    typed_bytes_put(pool, two);
    typed_bytes_put(pool, NULL);
    assert_int_equal(contract_stats(typed_bytes_pool_below(pool)).in_use, 0);
    typed_bytes_pool_close(pool);
}

struct crew {
    struct typed_bytes_pool *bytes;
    struct typed_map_pool *maps;
    _Atomic(struct typed_bytes *) exchange; // an object that another thread puts
    atomic_int wrong, next;
};

static void *work(void *context)
{
    struct crew *crew = context;
    char mark = (char)('a' + atomic_fetch_add(&crew->next, 1));
    for (int round = 0; round < ROUNDS; round++) {
        size_t length = (size_t)(round % 50 == 0 ? KEEP + 1 : 100 + round);
        struct typed_bytes *bytes = typed_bytes_get(crew->bytes);
        if (!bytes || bytes->length != 0 || typed_bytes_resize(bytes, length) < 0 ||
            bytes->data[length - 1]) {
            atomic_fetch_add(&crew->wrong, 1);
            continue;
        }
        memset(bytes->data, mark, length);
        struct typed_map *map = typed_map_get(crew->maps);
        if (!map || typed_map_count(map) != 0)
            atomic_fetch_add(&crew->wrong, 1);
        for (int k = 0; map && k < round % 40; k++)
            atomic_fetch_add(&crew->wrong, set_one(map, k) < 0);
        typed_map_put(crew->maps, map);
        for (size_t i = 0; i < length; i++)
            atomic_fetch_add(&crew->wrong, bytes->data[i] != mark);
        typed_bytes_put(crew->bytes, atomic_exchange(&crew->exchange, bytes));
    }
    return NULL;
}

static void test_threads_share_pools_and_never_an_object(void **state)
{
    if (is_left_out(*state))
        return;
    struct crew crew = {.bytes = open_bytes(*state, &byte_limits), .maps = open_maps(*state, release_one)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &crew), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    typed_bytes_put(crew.bytes, atomic_load(&crew.exchange));
    assert_int_equal(atomic_load(&crew.wrong), 0);
    assert_int_equal(atomic_load(&balance), 0);
    assert_int_equal(typed_bytes_pool_dropped(crew.bytes), THREADS * ((ROUNDS + 49) / 50));
    contract_stats(typed_bytes_pool_below(crew.bytes));
    contract_stats(typed_map_pool_below(crew.maps));
    typed_bytes_pool_close(crew.bytes);
    typed_map_pool_close(crew.maps);
}

static void expect_refusal(const struct pool_strategy *strategy, const struct pool_config *config,
                           const struct typed_limits *limits, const char *word)
{
    struct typed_bytes_pool *pool = NULL;
    struct err err = {0};
    assert_int_equal(typed_bytes_pool_open(&pool, strategy, config, limits, &err), -EINVAL);
    assert_null(pool);
    if (!strstr(err.text, word))
        fail_msg("'%s' has no '%s'", err.text, word);
}

static void test_wrong_limits_and_configs_are_named(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = config_of(strategy, 0, 0);
    if (is_left_out(strategy)) {
        expect_refusal(strategy, &config, &byte_limits, "same object to everybody");
        return;
    }
    expect_refusal(NULL, &config, &byte_limits, "no such strategy");
    expect_refusal(strategy, &config, &(struct typed_limits){.capacity = 0, .keep_max = 5}, "capacity is 0");
    expect_refusal(strategy, &config, &(struct typed_limits){.capacity = 6, .keep_max = 5}, "keep_max is 5");
    expect_refusal(strategy, &config, &(struct typed_limits){.capacity = 6, .keep_max = SIZE_MAX},
                   "keep_max");
    config.object_bytes = 9;
    expect_refusal(strategy, &config, &byte_limits, "object_bytes");
    config.object_bytes = 0;
    config.object_context = &config;
    expect_refusal(strategy, &config, &byte_limits, "object_context");
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_comes_empty_and_shows_nothing_of_the_last_user),
        cmocka_unit_test(test_a_buffer_keeps_what_it_grew_to),
        cmocka_unit_test(test_a_buffer_that_grew_too_large_is_not_kept),
        cmocka_unit_test(test_a_pool_that_wipes_leaves_zeros),
        cmocka_unit_test(test_a_map_that_wipes_leaves_no_keys),
        cmocka_unit_test(test_each_request_of_memory_may_fail),
        cmocka_unit_test(test_a_map_comes_empty_and_its_values_are_released),
        cmocka_unit_test(test_a_map_of_the_pool_is_filled_without_allocating),
        cmocka_unit_test(test_a_map_that_grew_too_large_is_not_kept),
        cmocka_unit_test(test_a_bound_refuses_and_a_drained_pool_gives_nothing),
        cmocka_unit_test(test_threads_share_pools_and_never_an_object),
        cmocka_unit_test(test_wrong_limits_and_configs_are_named),
    };
    return contract_run("typed", tests, sizeof tests / sizeof tests[0]);
}
