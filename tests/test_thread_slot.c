// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/thread_slot.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { THREADS = 8 };

struct meeting {
    pthread_barrier_t barrier;
    int slots[THREADS];
    atomic_int next;
};

static void *takes_a_slot_and_stays(void *argument)
{
    struct meeting *meeting = argument;
    int number = atomic_fetch_add(&meeting->next, 1);
    meeting->slots[number] = thread_slot();
    pthread_barrier_wait(&meeting->barrier);
    return thread_slot() == meeting->slots[number] ? NULL : meeting;
}

static void meet(struct meeting *meeting)
{
    pthread_t threads[THREADS];
    atomic_init(&meeting->next, 0);
    assert_int_equal(pthread_barrier_init(&meeting->barrier, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, takes_a_slot_and_stays, meeting), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    pthread_barrier_destroy(&meeting->barrier);
}

static void test_a_thread_keeps_its_slot(void **state)
{
    (void)state;
    int slot = thread_slot();
    assert_true(slot >= 1);
    assert_int_equal(thread_slot(), slot);
    assert_int_equal(pool_thread_slot_cached, slot);
    assert_true(thread_slot_ever() >= slot);
}

static void test_threads_alive_together_have_distinct_slots(void **state)
{
    (void)state;
    struct meeting meeting;
    meet(&meeting);
    for (int i = 0; i < THREADS; i++) {
        assert_in_range(meeting.slots[i], 1, THREAD_SLOT_ROWS - 1);
        assert_true(meeting.slots[i] <= thread_slot_ever());
        for (int j = 0; j < i; j++)
            assert_int_not_equal(meeting.slots[i], meeting.slots[j]);
    }
}

static void test_slots_are_reused_after_exit(void **state)
{
    (void)state;
    struct meeting meeting;
    meet(&meeting);
    int ever = thread_slot_ever();
    for (int round = 0; round < 20; round++)
        meet(&meeting);
    assert_int_equal(thread_slot_ever(), ever);
    assert_true(ever >= THREADS);
}

struct seen {
    atomic_int exits;
    atomic_int slot;
};

static void note_exit(void *context, int slot)
{
    struct seen *seen = context;
    atomic_fetch_add(&seen->exits, 1);
    atomic_store(&seen->slot, slot == pool_thread_slot_cached ? slot : -1);
}

static void *takes_a_slot(void *argument)
{
    (void)argument;
    return (void *)(intptr_t)thread_slot();
}

static void *takes_none(void *argument)
{
    return argument;
}

static void run(void *(*work)(void *), void **result)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
    assert_int_equal(pthread_join(thread, result), 0);
}

static void test_a_watch_hears_of_exits_until_it_is_removed(void **state)
{
    (void)state;
    struct seen first = {0}, second = {0};
    struct thread_slot_watch watch_first = {.on_exit = note_exit, .context = &first};
    struct thread_slot_watch watch_second = {.on_exit = note_exit, .context = &second};
    thread_slot_watch_add(&watch_first);
    thread_slot_watch_add(&watch_second);
    void *slot;
    run(takes_a_slot, &slot);
    assert_int_equal(atomic_load(&first.exits), 1);
    assert_int_equal(atomic_load(&second.exits), 1);
    assert_int_equal(atomic_load(&first.slot), (intptr_t)slot);
    run(takes_none, &slot);
    assert_int_equal(atomic_load(&first.exits), 1);
    thread_slot_watch_remove(&watch_first);
    run(takes_a_slot, &slot);
    assert_int_equal(atomic_load(&first.exits), 1);
    assert_int_equal(atomic_load(&second.exits), 2);
    thread_slot_watch_remove(&watch_second);
    run(takes_a_slot, &slot);
    assert_int_equal(atomic_load(&second.exits), 2);
}

static pthread_key_t late_key;

static void uses_a_slot_late(void *argument)
{
    int *late_slot = argument;
    *late_slot = thread_slot();
}

static void *exits_with_a_late_destructor(void *argument)
{
    pthread_setspecific(late_key, argument);
    return (void *)(intptr_t)thread_slot();
}

static void test_a_slot_used_by_a_late_destructor_is_given_back_too(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct thread_slot_watch watch = {.on_exit = note_exit, .context = &seen};
    thread_slot();
    assert_int_equal(pthread_key_create(&late_key, uses_a_slot_late), 0); // made after the register's own key
    thread_slot_watch_add(&watch);
    int late_slot = 0;
    pthread_t thread;
    void *slot;
    assert_int_equal(pthread_create(&thread, NULL, exits_with_a_late_destructor, &late_slot), 0);
    assert_int_equal(pthread_join(thread, &slot), 0);
    thread_slot_watch_remove(&watch);
    pthread_key_delete(late_key);
    assert_int_equal(late_slot, (intptr_t)slot);
    assert_int_equal(atomic_load(&seen.exits), 2);
}

// As a destructor that frees what other destructors leave behind: it wants to run as often as it may.
static void uses_a_slot_again_and_again(void *argument)
{
    atomic_int *runs = argument; // atomic: it also runs after ThreadSanitizer takes the thread for ended
    atomic_fetch_add(runs, 1);
    (void)thread_slot();
    pthread_setspecific(late_key, argument);
}

static void test_no_slot_is_lost_to_a_destructor_that_runs_as_often_as_it_may(void **state)
{
    (void)state;
    void *before, *after;
    thread_slot();
    assert_int_equal(pthread_key_create(&late_key, uses_a_slot_again_and_again), 0);
    run(takes_a_slot, &before);
    for (int i = 0; i < THREADS; i++) {
        atomic_int runs = 0;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, exits_with_a_late_destructor, &runs), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&runs), PTHREAD_DESTRUCTOR_ITERATIONS);
    }
    run(takes_a_slot, &after);
    pthread_key_delete(late_key);
    assert_int_equal((intptr_t)after, (intptr_t)before);
}

enum { CROWD = THREAD_SLOT_ROWS + 4 };

struct crowd {
    pthread_mutex_t lock; // guards the rest
    pthread_cond_t changed;
    int arrived, without;
    bool leave;
};

static void *joins_the_crowd(void *argument)
{
    struct crowd *crowd = argument;
    int slot = thread_slot();
    pthread_mutex_lock(&crowd->lock);
    crowd->arrived++;
    crowd->without += slot == 0;
    pthread_cond_broadcast(&crowd->changed);
    while (!crowd->leave)
        pthread_cond_wait(&crowd->changed, &crowd->lock);
    pthread_mutex_unlock(&crowd->lock);
    return NULL;
}

static int start_crowd(pthread_t *threads, struct crowd *crowd)
{
    pthread_attr_t attributes;
    int started = 0;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
    while (started < CROWD && pthread_create(&threads[started], &attributes, joins_the_crowd, crowd) == 0)
        started++;
    pthread_attr_destroy(&attributes);
    return started;
}

static void test_threads_beyond_the_last_slot_share_row_0(void **state)
{
    (void)state;
    static pthread_t threads[CROWD];
    struct crowd crowd = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    thread_slot();
    int started = start_crowd(threads, &crowd);
    pthread_mutex_lock(&crowd.lock);
    while (crowd.arrived < started)
        pthread_cond_wait(&crowd.changed, &crowd.lock);
    crowd.leave = true;
    pthread_cond_broadcast(&crowd.changed);
    pthread_mutex_unlock(&crowd.lock);
    for (int i = 0; i < started; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (started < CROWD)
        skip(); // the system does not allow that many threads
    // Of the slots this thread has one, and row 0 is none.
    assert_int_equal(crowd.without, CROWD - (THREAD_SLOT_ROWS - 2));
    void *slot;
    run(takes_a_slot, &slot);
    assert_int_not_equal((intptr_t)slot, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_keeps_its_slot),
        cmocka_unit_test(test_threads_alive_together_have_distinct_slots),
        cmocka_unit_test(test_slots_are_reused_after_exit),
        cmocka_unit_test(test_a_watch_hears_of_exits_until_it_is_removed),
        cmocka_unit_test(test_a_slot_used_by_a_late_destructor_is_given_back_too),
        cmocka_unit_test(test_no_slot_is_lost_to_a_destructor_that_runs_as_often_as_it_may),
        cmocka_unit_test(test_threads_beyond_the_last_slot_share_row_0),
    };
    return cmocka_run_group_tests_name("thread_slot", tests, NULL, NULL);
}
