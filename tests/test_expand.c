// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/growth.h"

#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"
#include "tests/pool_events.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// What a get does is done when it returns.
static struct pool_config inline_growth(void)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.growth_mode = POOL_GROW_INLINE;
    return config;
}

static struct pool *open_expand(struct pool_config *config, struct pool_events *events)
{
    config->listener = pool_events_listen;
    config->listener_context = events;
    return contract_open(pool_strategy_find("expand"), config);
}

struct published {
    int64_t initial, max;
    int count;
    int64_t owned[16];
};

// Published of an MQTT broker's connection pool; two of the lists are said to be one longer than they are.
static const struct published published[] = {
    {1024,
     100000,
     13,
     {1024, 1536, 2304, 3456, 5184, 7776, 11664, 17496, 26244, 39366, 59049, 88573, 100000}},
    {256, 10000, 11, {256, 384, 576, 864, 1296, 1944, 2916, 4374, 6561, 9841, 10000}},
    {2048, 100000, 11, {2048, 3072, 4608, 6912, 10368, 15552, 23328, 34992, 52488, 78732, 100000}},
    {10000, 100000, 7, {10000, 15000, 22500, 33750, 50625, 75937, 100000}},
};

static void test_published_sequences_follow_from_the_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct published *list = &published[i];
        int64_t owned = list->initial;
        for (int step = 1; step < list->count; step++) {
            owned = growth_next(owned, 1.5, list->max);
            assert_int_equal(owned, list->owned[step]);
        }
        assert_int_equal(growth_next(owned, 1.5, list->max), owned);
    }
}

static void check_growth_of_a_pool(const struct published *list, enum pool_growth mode)
{
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.name = "connections";
    config.object_bytes = 16;
    config.initial = list->initial;
    config.max = list->max;
    config.growth_mode = mode;
    config.touch = false;
    struct pool *pool = open_expand(&config, &events);
    void **objects = malloc((size_t)list->max * sizeof *objects);
    assert_non_null(objects);
    int64_t out = 0;
    for (int step = 1; step < list->count; step++) {
        int64_t trigger = growth_trigger(list->owned[step - 1], 80);
        contract_get_many(pool, objects + out, trigger - 1 - out);
        assert_int_equal(pool_events_count(&events, POOL_EVENT_EXPAND), step - 1);
        contract_get_many(pool, objects + trigger - 1, 1);
        out = trigger;
        assert_true(pool_events_await(&events, POOL_EVENT_EXPAND, step));
        const struct pool_event *event = &events.events[step - 1];
        assert_int_equal(event->from, list->owned[step - 1]);
        assert_int_equal(event->to, list->owned[step]);
        assert_int_equal(event->trigger, trigger);
        assert_true(event->duration_ns >= 0);
        assert_true(event->at_ns > 0);
    }
    contract_get_many(pool, objects + out, list->max - out);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, list->max);
    assert_int_equal(stats.expansions, list->count - 1);
    assert_int_equal(stats.in_use, list->max);
    assert_int_equal(stats.overflow, 0);
    assert_int_equal(stats.misses, mode == POOL_GROW_INLINE ? list->count - 1 : 0);
    assert_string_equal(events.pool_name, "connections");
    contract_put_many(pool, objects, list->max);
    free(objects);
    pool_close(pool);
}

static void test_a_pool_grows_in_the_published_steps(void **state)
{
    (void)state;
    check_growth_of_a_pool(&published[1], POOL_GROW_INLINE);
    check_growth_of_a_pool(&published[3], POOL_GROW_INLINE);
}

static void test_a_pool_grows_in_the_same_steps_in_the_background(void **state)
{
    (void)state;
    check_growth_of_a_pool(&published[1], POOL_GROW_BACKGROUND);
}

static void test_the_first_three_expansions_come_at_819_1228_and_1843(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = 16;
    config.initial = 1024;
    config.max = 100000;
    struct pool *pool = open_expand(&config, &events);
    void *objects[1900];
    contract_get_many(pool, objects, 1900);
    assert_int_equal(pool_events_count(&events, POOL_EVENT_EXPAND), 3);
    assert_int_equal(events.events[0].trigger, 819);
    assert_int_equal(events.events[1].trigger, 1228);
    assert_int_equal(events.events[2].trigger, 1843);
    contract_put_many(pool, objects, 1900);
    pool_close(pool);
}

// The rule as first printed compares with 80 % of the initial size for ever and adds half of it each time.
static void test_the_first_printed_rule_would_own_ten_times_as_much(void **state)
{
    (void)state;
    const int64_t initial = 1024, connections = 10000;
    int64_t as_printed = initial, as_mended = initial;
    for (int64_t in_use = 1; in_use <= connections; in_use++) {
        if (in_use >= growth_trigger(initial, 80))
            as_printed += initial / 2;
        if (in_use >= growth_trigger(as_mended, 80))
            as_mended = growth_next(as_mended, 1.5, 0);
    }
    assert_true(as_printed >= 10 * as_mended);
}

static void test_growth_rounds_down_but_adds_at_least_one(void **state)
{
    (void)state;
    assert_int_equal(growth_next(0, 1.5, 0), 1);
    assert_int_equal(growth_next(1, 1.5, 0), 2);
    assert_int_equal(growth_next(3, 1.5, 0), 4);
    assert_int_equal(growth_next(100, 1.0, 0), 101);
    assert_int_equal(growth_next(100, 1.15, 0), 115); // 114.999... in binary
    assert_int_equal(growth_next(100, 1.5, 120), 120);
    assert_int_equal(growth_next(120, 1.5, 120), 120);
}

static void test_an_empty_pool_grows_from_nothing(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = 100;
    struct pool *pool = open_expand(&config, &events);
    void *objects[500];
    contract_get_many(pool, objects, 500);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.overflow, 0);
    assert_true(stats.owned >= 500);
    assert_int_equal(stats.expansions, pool_events_count(&events, POOL_EVENT_EXPAND));
    contract_put_many(pool, objects, 500);
    pool_close(pool);
}

static void test_at_100_percent_the_last_free_object_sets_it_off(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = 32;
    config.initial = 10;
    config.expand_at_percent = 100;
    struct pool *pool = open_expand(&config, &events);
    void *objects[11];
    contract_get_many(pool, objects, 9);
    assert_int_equal(contract_counts(pool).owned, 10);
    contract_get_many(pool, objects + 9, 2);
    assert_int_equal(contract_counts(pool).owned, 15);
    contract_put_many(pool, objects, 11);
    pool_close(pool);
}

// The listener runs on the pool's thread after the objects were added; while it stands there the pool is
// still growing.
struct gate {
    struct pool_events events;
    pthread_mutex_t lock; // guards `open`
    pthread_cond_t opened;
    bool open;
};

static void wait_at_gate(void *context, const char *pool_name, const struct pool_event *event)
{
    struct gate *gate = context;
    pool_events_listen(&gate->events, pool_name, event);
    pthread_mutex_lock(&gate->lock);
    while (!gate->open)
        pthread_cond_wait(&gate->opened, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

#define GATE_CLOSED                                                                                          \
    {                                                                                                        \
        .events = POOL_EVENTS_NONE, .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER    \
    }

static struct pool *open_behind_gate(struct gate *gate, int64_t initial, int64_t max)
{
    struct pool_config config = contract_config(pool_strategy_find("expand"), 64, initial, max);
    config.growth_mode = POOL_GROW_BACKGROUND;
    config.overflow = POOL_OVERFLOW_REFUSE;
    config.listener = wait_at_gate;
    config.listener_context = gate;
    return contract_open(pool_strategy_find("expand"), &config);
}

static void test_gets_go_on_while_a_background_growth_is_under_way(void **state)
{
    (void)state;
    struct gate gate = GATE_CLOSED;
    struct pool *pool = open_behind_gate(&gate, 10, 100);
    void *objects[40];
    contract_get_many(pool, objects, 8);
    assert_true(pool_events_await(&gate.events, POOL_EVENT_EXPAND, 1));
    contract_get_many(pool, objects + 8, 32); // 15 are owned and no more can be until the gate opens
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, 15);
    assert_int_equal(stats.hits, 15);
    assert_int_equal(stats.misses, 25);
    assert_int_equal(stats.in_use, 40);
    assert_int_equal(stats.overflow, 0);
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
    // 15, 22, 33, 49, 73: the trigger is past 40 when 73 are owned.
    assert_true(pool_events_await(&gate.events, POOL_EVENT_EXPAND, 5));
    contract_put_many(pool, objects, 40);
    stats = contract_counts(pool);
    assert_int_equal(stats.owned, 73);
    assert_int_equal(stats.in_use, 0);
    pool_close(pool);
}

// Nothing is in use when the first get finds it empty.
static void test_a_pool_that_starts_empty_grows_in_the_background_too(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = 64;
    config.growth_mode = POOL_GROW_BACKGROUND;
    struct pool *pool = open_expand(&config, &events);
    void *objects[20];
    contract_get_many(pool, objects, 20);
    assert_true(pool_events_await(&events, POOL_EVENT_EXPAND, 1));
    contract_put_many(pool, objects, 20);
    assert_true(contract_counts(pool).owned > 0);
    pool_close(pool);
}

static void test_the_bound_holds_while_growth_lags_behind(void **state)
{
    (void)state;
    struct gate gate = GATE_CLOSED;
    struct pool *pool = open_behind_gate(&gate, 4, 20);
    void *objects[20];
    contract_get_many(pool, objects, 3);
    assert_true(pool_events_await(&gate.events, POOL_EVENT_EXPAND, 1));
    pthread_mutex_lock(&gate.lock);
    gate.open = true; // the refusal's event comes on this thread
    pthread_mutex_unlock(&gate.lock);
    contract_get_many(pool, objects + 3, 17);
    assert_null(pool_get(pool));
    assert_null(pool_get(pool));
    pthread_mutex_lock(&gate.lock);
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(pool_events_count(&gate.events, POOL_EVENT_REFUSE), 1);
    contract_put_many(pool, objects, 20);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.refused, 2);
    assert_int_equal(stats.peak_in_use, 20);
    assert_true(stats.owned <= 20);
    pool_close(pool);
}

static void test_a_failed_growth_is_not_tried_again_at_once(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = 64;
    config.initial = 100;
    struct pool *pool = open_expand(&config, &events);
    void *objects[400];
    contract_get_many(pool, objects, 79);
    pool_memory_fail_after(0, true);
    contract_get_many(pool, objects + 79, 3); // tries to grow once, and lives on what is left
    int64_t tries = pool_memory_fail_after(-1, false);
    assert_int_equal(tries, 1);
    assert_int_equal(contract_counts(pool).expansions, 0);
    contract_get_many(pool, objects + 82, 318); // there is memory again
    struct pool_stats stats = contract_counts(pool);
    assert_true(stats.expansions >= 1);
    assert_int_equal(stats.failed, 0);
    contract_put_many(pool, objects, 400);
    assert_int_equal(contract_counts(pool).in_use, 0);
    pool_close(pool);
}

// Of a large step no get makes more than a piece, and all of it is one event.
static void test_a_large_step_is_made_by_pieces_and_is_one_event(void **state)
{
    (void)state;
    enum { BYTES = 64 << 10, INITIAL = 200, TRIGGER = 160, STEP = 100 };
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = BYTES;
    config.initial = INITIAL;
    config.touch = false;
    struct pool *pool = open_expand(&config, &events);
    int64_t piece = growth_piece(STEP, BYTES), pieces = (STEP + piece - 1) / piece;
    assert_int_equal(piece, GROWTH_PIECE_BYTES_MIN / BYTES);
    void *objects[INITIAL];
    contract_get_many(pool, objects, TRIGGER - 1);
    for (int64_t i = 0; i < pieces; i++) {
        assert_int_equal(pool_events_count(&events, POOL_EVENT_EXPAND), 0);
        contract_get_many(pool, objects + TRIGGER - 1 + i, 1);
        int64_t made = (i + 1) * piece < STEP ? (i + 1) * piece : STEP;
        assert_int_equal(contract_counts(pool).owned, INITIAL + made);
        assert_int_equal(contract_counts(pool).misses, i + 1);
    }
    assert_int_equal(pool_events_count(&events, POOL_EVENT_EXPAND), 1);
    assert_int_equal(events.events[0].from, INITIAL);
    assert_int_equal(events.events[0].to, INITIAL + STEP);
    assert_int_equal(events.events[0].trigger, TRIGGER);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.expansions, 1);
    assert_true(stats.longest_expansion_ns <= events.events[0].duration_ns);
    contract_get_many(pool, objects + TRIGGER - 1 + pieces, 1);
    assert_int_equal(contract_counts(pool).misses, pieces);
    contract_put_many(pool, objects, TRIGGER + pieces);
    pool_close(pool);
}

static void test_preheat_moves_the_trigger_and_keeps_to_max(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = inline_growth();
    config.object_bytes = 64;
    config.initial = 10;
    config.max = 100;
    struct pool *pool = open_expand(&config, &events);
    assert_int_equal(pool_preheat(pool, 91), -ERANGE);
    assert_int_equal(pool_preheat(pool, 90), 0);
    assert_int_equal(contract_counts(pool).owned, 100);
    void *objects[100];
    contract_get_many(pool, objects, 100);
    assert_int_equal(pool_events_count(&events, POOL_EVENT_EXPAND), 0);
    contract_put_many(pool, objects, 100);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_sequences_follow_from_the_rule),
        cmocka_unit_test(test_a_pool_grows_in_the_published_steps),
        cmocka_unit_test(test_a_pool_grows_in_the_same_steps_in_the_background),
        cmocka_unit_test(test_the_first_three_expansions_come_at_819_1228_and_1843),
        cmocka_unit_test(test_the_first_printed_rule_would_own_ten_times_as_much),
        cmocka_unit_test(test_growth_rounds_down_but_adds_at_least_one),
        cmocka_unit_test(test_an_empty_pool_grows_from_nothing),
        cmocka_unit_test(test_at_100_percent_the_last_free_object_sets_it_off),
        cmocka_unit_test(test_a_pool_that_starts_empty_grows_in_the_background_too),
        cmocka_unit_test(test_gets_go_on_while_a_background_growth_is_under_way),
        cmocka_unit_test(test_the_bound_holds_while_growth_lags_behind),
        cmocka_unit_test(test_a_failed_growth_is_not_tried_again_at_once),
        cmocka_unit_test(test_a_large_step_is_made_by_pieces_and_is_one_event),
        cmocka_unit_test(test_preheat_moves_the_trigger_and_keeps_to_max),
    };
    return cmocka_run_group_tests_name("expand", tests, NULL, NULL);
}
