// SPDX-License-Identifier: Apache-2.0
// What every strategy promises when one call overtakes another: a resize, a drain or a get comes from another
// thread while a first call is half-way. The half-way points are forced: a listener, or a strategy whose hook
// does what the other thread would do, and then goes on.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { OBJECT_BYTES = 3072, MANY = 300 };

static const struct pool_strategy *under_test; // what the hooks below go on with
static int hooks_left;                         // how often a hook still does something of its own

static bool can(const struct pool_strategy *strategy, unsigned caps)
{
    return (strategy->caps & caps) == caps;
}

static void *on_another_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

// --- a resize while an expansion is told of -------------------------------------------------------------

struct heard {
    struct pool *pool;
    int expansions, telling;
    int64_t last_to;
    bool nested; // one was told of before the one before it had ended
};

// One less than are owned: so no batch of objects has to go.
static void *resize_down_and_up(void *argument)
{
    struct heard *heard = argument;
    struct pool *pool = heard->pool;
    int code = pool_resize(pool, heard->last_to - 1);
    void *object = pool_get(pool);
    pool_put(pool, object);
    return code == 0 && pool_resize(pool, MANY) == 0 ? pool : NULL;
}

static void resize_when_told(void *context, const char *pool_name, const struct pool_event *event)
{
    struct heard *heard = context;
    (void)pool_name;
    if (event->kind != POOL_EVENT_EXPAND)
        return;
    heard->expansions++;
    heard->last_to = event->to;
    heard->nested |= heard->telling++ > 0;
    if (hooks_left-- > 0)
        assert_non_null(on_another_thread(resize_down_and_up, heard));
    heard->telling--;
}

static void test_an_expansion_that_a_resize_overtakes_ends_once(void **state)
{
    const struct pool_strategy *strategy = *state;
    // Who grows as needed tells of it under its own lock, for which a resize waits.
    if (!can(strategy, POOL_CAP_GROWS | POOL_CAP_RESIZES) || can(strategy, POOL_CAP_AS_NEEDED))
        return;
    struct heard heard = {0};
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, 4, MANY);
    config.overflow = POOL_OVERFLOW_REFUSE;
    config.listener = resize_when_told;
    config.listener_context = &heard;
    struct pool *pool = heard.pool = contract_open(strategy, &config);
    void *objects[MANY];
    hooks_left = 1;
    for (int i = 0; i < 4; i++) {
        objects[i] = pool_get(pool);
        assert_non_null(objects[i]);
    }
    assert_true(heard.expansions > 0);
    assert_false(heard.nested);
    assert_int_equal(heard.expansions, contract_counts(pool).expansions);
    // Nothing that was planned is missing for ever: it still grows as far as it may.
    contract_get_many(pool, objects + 4, MANY - 4);
    assert_null(pool_get(pool));
    contract_put_many(pool, objects, MANY);
    assert_int_equal(contract_counts(pool).in_use, 0);
    pool_close(pool);
}

// --- a resize that another overtakes --------------------------------------------------------------------

static int resize_overtaken(struct pool *pool, int64_t max)
{
    int code = under_test->resize(pool, max);
    if (hooks_left-- > 0)
        assert_int_equal(pool_resize(pool, 20), 0);
    return code;
}

static void test_of_two_resizes_the_one_in_force_is_told(void **state)
{
    struct pool_strategy strategy = *(const struct pool_strategy *)*state;
    under_test = *state;
    if (!can(under_test, POOL_CAP_RESIZES))
        return;
    strategy.resize = resize_overtaken;
    struct pool_config config = contract_config(&strategy, OBJECT_BYTES, 20, 40);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = contract_open(&strategy, &config);
    hooks_left = 1;
    assert_int_equal(pool_resize(pool, 30), 0);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.max, 20);
    void *objects[20];
    contract_get_many(pool, objects, 20);
    assert_null(pool_get(pool));
    contract_put_many(pool, objects, 20);
    pool_close(pool);
}

// --- a resize that a drain overtakes --------------------------------------------------------------------

static int resize_after_a_drain(struct pool *pool, int64_t max)
{
    (void)pool_drain(pool);
    return under_test->resize(pool, max);
}

static void test_a_resize_that_a_drain_overtakes_ends_no_drain(void **state)
{
    struct pool_strategy strategy = *(const struct pool_strategy *)*state;
    under_test = *state;
    if (!can(under_test, POOL_CAP_RESIZES))
        return;
    strategy.resize = resize_after_a_drain;
    struct pool_config config = contract_config(&strategy, OBJECT_BYTES, MANY, MANY);
    struct pool *pool = contract_open(&strategy, &config);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    int code = pool_resize(pool, 2 * MANY);
    assert_true(code == 0 || code == -ECANCELED);
    assert_null(pool_get(pool));
    contract_put_many(pool, objects, MANY);
    assert_int_equal(contract_counts(pool).owned, 0);
    pool_close(pool);
}

// --- statistics that a get overtakes --------------------------------------------------------------------

static int construct_or_not(void *context, void *object)
{
    const bool *fails = context;
    memset(object, 1, OBJECT_BYTES);
    return *fails ? -EIO : 0;
}

static bool construct_fails;

static void stats_overtaken(struct pool *pool, struct pool_stats *stats)
{
    under_test->stats(pool, stats);
    construct_fails = true;
    while (hooks_left-- > 0)
        assert_null(pool_get(pool));
    construct_fails = false;
}

static void test_gets_that_fail_meanwhile_take_nothing_from_those_counted(void **state)
{
    struct pool_strategy strategy = *(const struct pool_strategy *)*state;
    under_test = *state;
    // In the others nothing is constructed but what is made.
    if (can(under_test, POOL_CAP_CONSTRUCTS))
        return;
    strategy.stats = stats_overtaken;
    struct pool_config config = contract_config(&strategy, OBJECT_BYTES, 0, 0);
    config.construct = construct_or_not;
    config.object_context = &construct_fails;
    struct pool *pool = contract_open(&strategy, &config);
    void *objects[3];
    hooks_left = 0;
    contract_get_many(pool, objects, 3);
    pool_put(pool, objects[2]);
    hooks_left = 5;
    struct pool_stats stats;
    pool_stats(pool, &stats);
    assert_int_equal(stats.hits + stats.misses, 3);
    assert_int_equal(stats.puts, 1);
    assert_int_equal(stats.failed, 0);
    pool_stats(pool, &stats);
    assert_int_equal(stats.hits + stats.misses, 3);
    assert_int_equal(stats.puts, 1);
    assert_int_equal(stats.failed, 5);
    contract_put_many(pool, objects, 2);
    pool_close(pool);
}

// --- a put while a resize tells of what it gave back ----------------------------------------------------

struct late_put {
    struct pool *pool;
    void *object;
};

static void *put_it(void *argument)
{
    struct late_put *late = argument;
    pool_put(late->pool, late->object);
    return late;
}

static void put_when_told(void *context, const char *pool_name, const struct pool_event *event)
{
    (void)pool_name;
    if (event->kind == POOL_EVENT_SHRINK && hooks_left-- > 0)
        assert_non_null(on_another_thread(put_it, context));
}

static void test_an_object_that_comes_back_during_a_resize_is_not_given_again(void **state)
{
    enum { OUT = 10, LOW = 5 };
    const struct pool_strategy *strategy = *state;
    if (!can(strategy, POOL_CAP_RESIZES | POOL_CAP_SHRINKS))
        return;
    struct late_put late;
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, 2 * OUT, MANY);
    config.overflow = POOL_OVERFLOW_REFUSE;
    config.listener = put_when_told;
    config.listener_context = &late;
    void *objects[OUT];
    struct pool *pool = late.pool = contract_open(strategy, &config);
    contract_get_many(pool, objects, OUT);
    late.object = objects[OUT - 1];
    hooks_left = 1;
    assert_int_equal(pool_resize(pool, LOW), 0);
    assert_true(hooks_left < 1); // it came to that
    assert_null(pool_get(pool));
    assert_int_equal(contract_counts(pool).owned, OUT - 1);
    contract_put_many(pool, objects, OUT - 1);
    assert_true(contract_counts(pool).owned <= LOW);
    pool_close(pool);
}

// --- what is being made when the bound falls or the pool drains -----------------------------------------

// At one of the constructs another thread calls pool_resize with that max, or pool_drain where it is 0.
struct overtaking {
    struct pool *pool;
    int constructs_left;
    int64_t max;
    bool fails; // and that construct fails
};

static void *overtake(void *argument)
{
    struct overtaking *overtaking = argument;
    if (overtaking->max == 0)
        (void)pool_drain(overtaking->pool);
    else if (pool_resize(overtaking->pool, overtaking->max) < 0)
        return NULL;
    return overtaking;
}

static int construct_overtaken(void *context, void *object)
{
    struct overtaking *overtaking = context;
    memset(object, 1, OBJECT_BYTES);
    if (--overtaking->constructs_left == 0)
        assert_non_null(on_another_thread(overtake, overtaking));
    return overtaking->constructs_left == 0 && overtaking->fails ? -EIO : 0;
}

enum { FEW = 5, MORE = 20 };

static struct pool_config overtaken_config(const struct pool_strategy *strategy,
                                           struct overtaking *overtaking)
{
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, FEW, MANY);
    config.overflow = POOL_OVERFLOW_REFUSE;
    config.construct = construct_overtaken;
    config.object_context = overtaking;
    return config;
}

static struct pool *open_overtaken(const struct pool_strategy *strategy, struct overtaking *overtaking)
{
    struct pool_config config = overtaken_config(strategy, overtaking);
    return overtaking->pool = contract_open(strategy, &config);
}

static void test_a_preheat_that_a_smaller_bound_overtakes_adds_nothing(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!can(strategy, POOL_CAP_RESIZES | POOL_CAP_PREHEATS))
        return;
    void *objects[FEW];
    struct overtaking overtaking = {.max = FEW};
    struct pool *pool = open_overtaken(strategy, &overtaking);
    contract_get_many(pool, objects, FEW);
    int64_t before = contract_counts(pool).owned; // it may have grown
    overtaking.constructs_left = MORE / 2;
    int code = pool_preheat(pool, MORE);
    assert_true(code == 0 || code == -ERANGE);
    assert_true(overtaking.constructs_left <= 0); // it came to that
    assert_null(pool_get(pool));
    assert_true(contract_counts(pool).owned <= (can(strategy, POOL_CAP_SHRINKS) ? FEW : before));
    contract_put_many(pool, objects, FEW);
    assert_true(contract_counts(pool).owned <= FEW);
    pool_close(pool);
}

// More is in use than the bound allows when the preheat is undone. All of it comes back, and no more can be got
// than the bound allows.
static void test_a_preheat_that_fails_beside_a_smaller_bound_leaves_the_bound_in_force(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!can(strategy, POOL_CAP_RESIZES | POOL_CAP_PREHEATS))
        return;
    void *objects[MORE];
    int64_t got = 0;
    struct overtaking overtaking = {.max = FEW, .fails = true};
    struct pool_config config = overtaken_config(strategy, &overtaking);
    config.initial = MORE;
    struct pool *pool = overtaking.pool = contract_open(strategy, &config);
    contract_get_many(pool, objects, MORE);
    overtaking.constructs_left = MORE / 2;
    assert_int_not_equal(pool_preheat(pool, MORE), 0);
    assert_int_equal(overtaking.constructs_left, 0); // it came to that
    contract_put_many(pool, objects, MORE);
    while (got < MORE && (objects[got] = pool_get(pool)))
        got++;
    assert_true(got <= FEW);
    contract_put_many(pool, objects, got);
    pool_close(pool);
}

static void test_a_preheat_that_a_drain_overtakes_is_canceled(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!can(strategy, POOL_CAP_RESIZES | POOL_CAP_PREHEATS))
        return;
    void *objects[FEW];
    struct overtaking overtaking = {.max = 0};
    struct pool *pool = open_overtaken(strategy, &overtaking);
    contract_get_many(pool, objects, FEW);
    int64_t before = contract_counts(pool).owned;
    overtaking.constructs_left = MORE / 2;
    assert_int_equal(pool_preheat(pool, MORE), -ECANCELED);
    assert_true(overtaking.constructs_left <= 0);
    assert_true(contract_counts(pool).owned <= (can(strategy, POOL_CAP_SHRINKS) ? FEW : before));
    contract_put_many(pool, objects, FEW);
    assert_int_equal(contract_counts(pool).owned, 0);
    pool_close(pool);
}

// --- a sweep that a drain overtakes ---------------------------------------------------------------------

static void destruct_overtaken(void *context, void *object)
{
    (void)object;
    if (hooks_left-- == 1)
        assert_non_null(on_another_thread(overtake, context));
}

// The sweep is in the middle of what two sweeps before left over, and another object is free.
static void test_a_drain_beside_a_sweep_leaves_nothing(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!can(strategy, POOL_CAP_SWEEPS | POOL_CAP_CONSTRUCTS))
        return;
    void *objects[3];
    struct overtaking overtaking = {.max = 0};
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, 0, 0);
    config.destruct = destruct_overtaken;
    config.object_context = &overtaking;
    config.idle_ns = 1;
    struct pool *pool = overtaking.pool = contract_open(strategy, &config);
    hooks_left = 0;
    contract_get_many(pool, objects, 3);
    contract_put_many(pool, objects, 2);
    (void)pool_sweep(pool);
    pool_put(pool, objects[2]);
    hooks_left = 1;
    (void)pool_sweep(pool);
    if (hooks_left < 1) // who keeps its objects in a sweep is not overtaken in it
        assert_int_equal(contract_counts(pool).owned, 0);
    hooks_left = 0;
    pool_close(pool);
}

static void test_growth_that_a_smaller_bound_overtakes_ends_at_the_bound(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!can(strategy, POOL_CAP_RESIZES | POOL_CAP_GROWS))
        return;
    void *objects[MORE];
    int64_t got = 0;
    struct overtaking overtaking = {.max = FEW};
    struct pool *pool = open_overtaken(strategy, &overtaking);
    overtaking.constructs_left = 1;
    while (got < MORE && (objects[got] = pool_get(pool)))
        got++;
    assert_true(overtaking.constructs_left <= 0);
    assert_in_range(got, FEW, FEW + 1); // the get that was overtaken may have one more
    contract_put_many(pool, objects, got);
    assert_true(contract_counts(pool).owned <= FEW);
    pool_close(pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_expansion_that_a_resize_overtakes_ends_once),
        cmocka_unit_test(test_of_two_resizes_the_one_in_force_is_told),
        cmocka_unit_test(test_a_resize_that_a_drain_overtakes_ends_no_drain),
        cmocka_unit_test(test_gets_that_fail_meanwhile_take_nothing_from_those_counted),
        cmocka_unit_test(test_an_object_that_comes_back_during_a_resize_is_not_given_again),
        cmocka_unit_test(test_a_preheat_that_a_smaller_bound_overtakes_adds_nothing),
        cmocka_unit_test(test_a_preheat_that_fails_beside_a_smaller_bound_leaves_the_bound_in_force),
        cmocka_unit_test(test_a_preheat_that_a_drain_overtakes_is_canceled),
        cmocka_unit_test(test_a_drain_beside_a_sweep_leaves_nothing),
        cmocka_unit_test(test_growth_that_a_smaller_bound_overtakes_ends_at_the_bound),
    };
    return contract_run("pool_overtaken", tests, sizeof tests / sizeof tests[0]);
}
