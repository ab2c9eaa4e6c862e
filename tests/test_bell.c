// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/bell.h"

#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GUARD_NS (60 * NS_PER_S)

// A pool's thread that has nothing to grow: it counts.
struct ringer {
    struct bell bell;
    pthread_t thread;
    atomic_bool stop, grows; // grows: tells the bell so at each answer
    atomic_int waits, answers;
};

static void *answers(void *context)
{
    struct ringer *ringer = context;
    while (!atomic_load(&ringer->stop)) {
        bell_wait(&ringer->bell, 0);
        if (bell_answer(&ringer->bell)) {
            if (atomic_load(&ringer->grows))
                bell_grew(&ringer->bell);
            atomic_fetch_add(&ringer->answers, 1);
        }
        atomic_fetch_add(&ringer->waits, 1);
    }
    return NULL;
}

static void start(struct ringer *ringer, bool grows)
{
    assert_int_equal(bell_init(&ringer->bell), 0);
    atomic_store(&ringer->stop, false);
    atomic_store(&ringer->grows, grows);
    atomic_store(&ringer->waits, 0);
    atomic_store(&ringer->answers, 0);
    assert_int_equal(pthread_create(&ringer->thread, NULL, answers, ringer), 0);
}

static void finish(struct ringer *ringer)
{
    atomic_store(&ringer->stop, true);
    bell_knock(&ringer->bell);
    assert_int_equal(pthread_join(ringer->thread, NULL), 0);
    bell_destroy(&ringer->bell);
}

static void await(atomic_int *count, int at_least)
{
    int64_t guard_ns = clock_now_ns() + GUARD_NS;
    while (atomic_load(count) < at_least && clock_now_ns() < guard_ns)
        sched_yield();
    assert_true(atomic_load(count) >= at_least);
}

// Rings until the thread is seen looking by itself.
static void ring_until_it_looks(struct ringer *ringer)
{
    int64_t guard_ns = clock_now_ns() + GUARD_NS;
    while (!atomic_load(&ringer->bell.looks) && clock_now_ns() < guard_ns) {
        int answers = atomic_load(&ringer->answers);
        bell_ring(&ringer->bell);
        await(&ringer->answers, answers + 1);
    }
    assert_true(clock_now_ns() < guard_ns);
}

static void await_rest(struct ringer *ringer)
{
    int64_t guard_ns = clock_now_ns() + GUARD_NS;
    while (atomic_load(&ringer->bell.looks) && clock_now_ns() < guard_ns)
        sched_yield();
    assert_false(atomic_load(&ringer->bell.looks));
}

static void test_each_ring_is_answered(void **state)
{
    (void)state;
    struct ringer ringer;
    start(&ringer, false);
    for (int ring = 1; ring <= 200; ring++) {
        bell_ring(&ringer.bell);
        await(&ringer.answers, ring);
    }
    assert_int_equal(atomic_load(&ringer.answers), 200);
    finish(&ringer);
}

static void test_each_ring_is_answered_while_the_thread_looks_by_itself(void **state)
{
    (void)state;
    struct ringer ringer;
    start(&ringer, true);
    for (int ring = 1; ring <= 200; ring++) {
        bell_ring(&ringer.bell);
        await(&ringer.answers, ring);
    }
    finish(&ringer);
}

static void test_after_a_growth_the_thread_looks_by_itself_for_a_while(void **state)
{
    (void)state;
    struct ringer ringer;
    start(&ringer, true);
    ring_until_it_looks(&ringer);
    await_rest(&ringer);
    finish(&ringer);
}

// A ring ends two waits at most: its post may come when the thread has seen the ring already.
static void test_a_thread_at_rest_wakes_up_for_rings_alone(void **state)
{
    (void)state;
    struct ringer ringer;
    start(&ringer, true);
    ring_until_it_looks(&ringer);
    atomic_store(&ringer.grows, false);
    await_rest(&ringer);
    int waits = atomic_load(&ringer.waits), answers = atomic_load(&ringer.answers);
    for (int ring = 1; ring <= 50; ring++) {
        bell_ring(&ringer.bell);
        await(&ringer.answers, answers + ring);
        for (int i = 0; i < 1000; i++)
            sched_yield();
        assert_true(atomic_load(&ringer.waits) <= waits + 2 * ring + 1);
    }
    finish(&ringer);
}

static void test_a_wait_with_a_bound_ends_by_itself(void **state)
{
    (void)state;
    struct bell bell;
    assert_int_equal(bell_init(&bell), 0);
    bell_wait(&bell, 1000);
    assert_false(bell_answer(&bell));
    bell_ring(&bell);
    bell_ring(&bell); // once is enough
    bell_wait(&bell, 0);
    assert_true(bell_answer(&bell));
    assert_false(bell_answer(&bell));
    bell_destroy(&bell);
}

static void test_a_pool_that_grows_often_is_looked_after_longer(void **state)
{
    (void)state;
    struct bell bell;
    assert_int_equal(bell_init(&bell), 0);
    bell_grew(&bell);
    assert_int_equal(bell.every_ns, BELL_EVERY_MIN_NS); // the pace is not known yet
    assert_int_equal(bell.until_ns - bell.grew_ns, BELL_FOR_MIN_NS);
    bell.grew_ns -= NS_PER_S;
    bell_grew(&bell);
    assert_int_equal(bell.every_ns, BELL_EVERY_MAX_NS);
    assert_int_equal(bell.until_ns - bell.grew_ns, BELL_FOR_MAX_NS);
    bell.grew_ns -= 10 * NS_PER_S; // a rest
    bell_grew(&bell);
    assert_int_equal(bell.until_ns - bell.grew_ns, BELL_FOR_MIN_NS);
    bell_destroy(&bell);
}

// The pace is not known. Each 100 us for 100 ms would be a thousand times.
static void test_the_longer_nobody_rings_the_less_often_it_looks(void **state)
{
    enum { LOOKS_MAX = 80 };
    (void)state;
    struct bell bell;
    assert_int_equal(bell_init(&bell), 0);
    bell_grew(&bell);
    int looks = 0;
    int64_t before_ns = 0;
    for (int64_t now_ns = bell.grew_ns; now_ns < bell.until_ns && looks <= LOOKS_MAX; looks++) {
        int64_t pause_ns = bell_pause_ns(&bell, now_ns);
        assert_in_range(pause_ns, BELL_EVERY_MIN_NS, BELL_EVERY_MAX_NS);
        assert_true(pause_ns >= before_ns);
        now_ns += before_ns = pause_ns;
    }
    assert_true(looks <= LOOKS_MAX);
    bell_destroy(&bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_ring_is_answered),
        cmocka_unit_test(test_each_ring_is_answered_while_the_thread_looks_by_itself),
        cmocka_unit_test(test_after_a_growth_the_thread_looks_by_itself_for_a_while),
        cmocka_unit_test(test_a_thread_at_rest_wakes_up_for_rings_alone),
        cmocka_unit_test(test_a_wait_with_a_bound_ends_by_itself),
        cmocka_unit_test(test_a_pool_that_grows_often_is_looked_after_longer),
        cmocka_unit_test(test_the_longer_nobody_rings_the_less_often_it_looks),
    };
    return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
