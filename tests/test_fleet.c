// SPDX-License-Identifier: Apache-2.0
#include "loadgen/fleet.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GUARD_NS (60 * NS_PER_S)

static void wait_for_signal(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGUSR1);
    sigsuspend(&mask);
}

// What the workers of a test share with it.
struct shared {
    _Atomic int inside, most_inside; // workers in a gated order now, and the most at once
    _Atomic bool open;               // they may go on
};

static struct shared *map_shared(void)
{
    void *shared =
        mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    return shared;
}

static int64_t ten_clients(void *context, int worker)
{
    (void)context;
    (void)worker;
    return 10;
}

// Counts what it is told to connect as connected, and says it is done.
static int obedient(struct fleet_worker *worker, void *context)
{
    (void)context;
    struct fleet_order order;
    fleet_worker_ready(worker);
    while (!fleet_worker_stopped(worker)) {
        if (fleet_worker_take(worker, &order)) {
            tally_add(fleet_worker_page(worker), TALLY_CONNECTED, order.goal);
            tally_add(fleet_worker_page(worker), TALLY_OPEN, order.goal);
            fleet_worker_done(worker);
        }
        wait_for_signal();
    }
    return 0;
}

static int gated(struct fleet_worker *worker, void *context)
{
    struct shared *shared = context;
    struct fleet_order order;
    fleet_worker_ready(worker);
    while (!fleet_worker_take(worker, &order) && !fleet_worker_stopped(worker))
        wait_for_signal();
    while (!fleet_worker_admitted(worker) && !fleet_worker_stopped(worker))
        wait_for_signal();
    int inside = atomic_fetch_add(&shared->inside, 1) + 1;
    int most = atomic_load(&shared->most_inside);
    while (inside > most && !atomic_compare_exchange_weak(&shared->most_inside, &most, inside))
        ;
    while (!atomic_load(&shared->open) && !fleet_worker_stopped(worker))
        wait_for_signal();
    atomic_fetch_sub(&shared->inside, 1);
    fleet_worker_done(worker);
    while (!fleet_worker_stopped(worker))
        wait_for_signal();
    return 0;
}

static int complaining(struct fleet_worker *worker, void *context)
{
    (void)context;
    fleet_worker_complain(worker, "no memory today");
    return 1;
}

static int deaf(struct fleet_worker *worker, void *context)
{
    (void)context;
    fleet_worker_ready(worker);
    while (pause() < 0)
        ; // any signal but the one that kills
    return 0;
}

static struct fleet *opened(int workers, int tokens, int (*work)(struct fleet_worker *, void *),
                            void *context)
{
    struct fleet_config config = {
        .workers = workers, .tokens = tokens, .work = work, .context = context, .clients_of = ten_clients};
    struct fleet *fleet;
    struct err err = {0};
    if (fleet_open(&fleet, &config, &err) < 0)
        fail_msg("%s", err.text);
    return fleet;
}

static void poll_until(struct fleet *fleet, int busy)
{
    int64_t limit_ns = clock_now_ns() + GUARD_NS;
    while (fleet_poll(fleet, clock_now_ns()) > busy) {
        assert_true(clock_now_ns() < limit_ns);
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    }
}

static void test_every_worker_carries_out_every_order(void **state)
{
    (void)state;
    struct fleet *fleet = opened(5, 0, obedient, NULL);
    poll_until(fleet, 0);
    struct fleet_order order = {.act = FLEET_CONNECT, .goal = 3};
    fleet_give(fleet, &order);
    poll_until(fleet, 0);
    order.goal = 4;
    fleet_give(fleet, &order);
    poll_until(fleet, 0);
    struct tally sum = {0};
    fleet_sum(fleet, &sum);
    assert_int_equal(sum.count[TALLY_CONNECTED], 5 * 7);
    assert_int_equal(fleet_died(fleet), 0);
    fleet_close(fleet);
}

static void test_a_gate_lets_in_so_many_at_a_time(void **state)
{
    (void)state;
    struct shared *shared = map_shared();
    struct fleet *fleet = opened(6, 2, gated, shared);
    poll_until(fleet, 0);
    struct fleet_order order = {.act = FLEET_CONNECT, .gated = true};
    fleet_give(fleet, &order);
    int64_t limit_ns = clock_now_ns() + GUARD_NS;
    while (atomic_load(&shared->inside) < 2) { // both places are taken
        fleet_poll(fleet, clock_now_ns());
        assert_true(clock_now_ns() < limit_ns);
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(fleet_poll(fleet, clock_now_ns()), 6);
    assert_int_equal(atomic_load(&shared->most_inside), 2);
    atomic_store(&shared->open, true);
    for (int i = 0; i < 6; i++)
        kill(fleet_pid(fleet, i), SIGUSR1);
    poll_until(fleet, 0); // each that ends lets in another
    assert_true(atomic_load(&shared->most_inside) <= 2);
    fleet_close(fleet);
    munmap(shared, sizeof *shared);
}

static bool concerns_the_second(void *context, int worker, const struct fleet_order *order)
{
    (void)context;
    (void)order;
    return worker == 1;
}

// A worker that has said it is ready and does not wait yet would take the first order too, whether it concerns it or not.
static void await_sleep(const struct fleet *fleet)
{
    int64_t limit_ns = clock_now_ns() + GUARD_NS;
    for (int i = 0; i < fleet_workers(fleet); i++) {
        char path[32], state = '?';
        snprintf(path, sizeof path, "/proc/%d/stat", (int)fleet_pid(fleet, i));
        while (state != 'S') {
            FILE *file = fopen(path, "re");
            assert_non_null(file);
            assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
            fclose(file);
            assert_true(clock_now_ns() < limit_ns);
        }
    }
}

static void test_only_whom_an_order_concerns_carries_it_out(void **state)
{
    (void)state;
    for (int gated = 0; gated < 2; gated++) {
        struct fleet_config config = {.workers = 3,
                                      .tokens = 1,
                                      .work = obedient,
                                      .clients_of = ten_clients,
                                      .concerns = concerns_the_second,
                                      .deep_sleep = gated};
        struct fleet *fleet;
        struct err err = {0};
        assert_int_equal(fleet_open(&fleet, &config, &err), 0);
        poll_until(fleet, 0);
        await_sleep(fleet);
        for (int round = 1; round <= 3; round++) { // asleep from the first to the second
            struct fleet_order order = {.act = FLEET_CONNECT, .goal = 3, .gated = gated};
            fleet_give(fleet, &order);
            poll_until(fleet, 0);
            struct tally sum = {0};
            fleet_sum(fleet, &sum);
            assert_int_equal(sum.count[TALLY_CONNECTED], 3 * round);
            fleet_patrol(fleet, clock_now_ns());
        }
        fleet_close(fleet);
    }
}

static void test_a_killed_worker_is_counted_with_all_its_clients(void **state)
{
    (void)state;
    struct fleet *fleet = opened(3, 0, obedient, NULL);
    poll_until(fleet, 0);
    struct fleet_order order = {.act = FLEET_CONNECT, .goal = 6};
    fleet_give(fleet, &order);
    poll_until(fleet, 0);
    assert_int_equal(kill(fleet_pid(fleet, 1), SIGKILL), 0);
    int64_t limit_ns = clock_now_ns() + GUARD_NS;
    while (fleet_died(fleet) == 0) {
        fleet_poll(fleet, clock_now_ns());
        assert_true(clock_now_ns() < limit_ns);
    }
    struct tally sum = {0};
    fleet_sum(fleet, &sum);
    assert_int_equal(sum.dropped[REASON_WORKER_DIED], 6);
    assert_int_equal(sum.failed[REASON_WORKER_DIED], 4);
    assert_int_equal(sum.count[TALLY_OPEN], 12);
    assert_int_equal(fleet_living(fleet), 2);
    // The others go on.
    fleet_give(fleet, &order);
    poll_until(fleet, 0);
    fleet_close(fleet);
}

static void test_a_worker_that_cannot_start_says_why(void **state)
{
    (void)state;
    struct fleet *fleet = opened(2, 0, complaining, NULL);
    int64_t limit_ns = clock_now_ns() + GUARD_NS;
    while (fleet_died(fleet) < 2) {
        fleet_poll(fleet, clock_now_ns());
        assert_true(clock_now_ns() < limit_ns);
    }
    assert_non_null(strstr(fleet_complaint(fleet), "no memory today"));
    fleet_close(fleet);
}

static void test_closing_leaves_nothing_running(void **state)
{
    (void)state;
    struct fleet *fleet = opened(4, 0, deaf, NULL);
    poll_until(fleet, 0);
    pid_t pids[4];
    for (int i = 0; i < 4; i++)
        pids[i] = fleet_pid(fleet, i);
    fleet_close(fleet);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kill(pids[i], 0), -1);
        assert_int_equal(errno, ESRCH);
    }
}

static void test_workers_die_with_their_parent(void **state)
{
    (void)state;
    prctl(PR_SET_CHILD_SUBREAPER, 1); // orphans come to us
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct fleet_config config = {.workers = 1, .work = deaf, .clients_of = ten_clients};
        struct fleet *fleet;
        if (fleet_open(&fleet, &config, NULL) < 0)
            _exit(1);
        pid_t pid = fleet_pid(fleet, 0);
        while (fleet_poll(fleet, clock_now_ns()) > 0)
            ;
        _exit(write(ends[1], &pid, sizeof pid) == sizeof pid ? 0 : 1);
    }
    pid_t worker = 0;
    assert_int_equal(read(ends[0], &worker, sizeof worker), sizeof worker);
    int status;
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(worker, &status, 0), worker); // returns only because it was killed
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_worker_carries_out_every_order),
        cmocka_unit_test(test_a_gate_lets_in_so_many_at_a_time),
        cmocka_unit_test(test_only_whom_an_order_concerns_carries_it_out),
        cmocka_unit_test(test_a_killed_worker_is_counted_with_all_its_clients),
        cmocka_unit_test(test_a_worker_that_cannot_start_says_why),
        cmocka_unit_test(test_closing_leaves_nothing_running),
        cmocka_unit_test(test_workers_die_with_their_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
