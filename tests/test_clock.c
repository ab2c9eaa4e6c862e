// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    int64_t before = clock_now_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void coarse_time_is_never_ahead(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t coarse = clock_coarse_ns();
        assert_true(coarse <= clock_now_ns());
    }
}

static void monotonic_time_is_the_same_in_another_process(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int64_t before = clock_now_ns(), between = 0;
    pid_t child = fork();
    if (child == 0) {
        between = clock_now_ns();
        _exit(write(ends[1], &between, sizeof between) == (ssize_t)sizeof between ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &between, sizeof between), sizeof between);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(before <= between && between <= clock_now_ns());
    close(ends[0]);
    close(ends[1]);
}

static void cpu_time_grows_with_work(void **state)
{
    (void)state;
    int64_t before = clock_cpu_ns();
    volatile unsigned work = 0;
    while (clock_cpu_ns() == before) {
        work++;
    }
    assert_true(clock_cpu_ns() > before);
}

static void sleeping_ends_at_or_after_its_instant(void **state)
{
    (void)state;
    int64_t until = clock_now_ns() + 2 * NS_PER_MS;
    clock_sleep_until_ns(until);
    assert_true(clock_now_ns() >= until);
}

static void an_instant_that_is_past_is_not_waited_for(void **state)
{
    (void)state;
    clock_sleep_until_ns(clock_now_ns() - NS_PER_S);
    clock_sleep_until_ns(0);
    clock_sleep_until_ns(INT64_MIN);
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void sleeping_goes_on_after_a_signal(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = count_signal}, old;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    struct itimerval often = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}},
                     never = {{0}, {0}};
    signals = 0;
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    // Until a signal has come while it slept.
    while (signals == 0) {
        int64_t until = clock_now_ns() + 5 * NS_PER_MS;
        clock_sleep_until_ns(until);
        assert_true(clock_now_ns() >= until);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

static void wall_time_is_written_in_utc(void **state)
{
    (void)state;
    char text[21];
    clock_format_utc(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    clock_format_utc(INT64_C(1795260186) * NS_PER_S + 999999999, text);
    assert_string_equal(text, "2026-11-21T11:23:06Z");
    clock_format_utc(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
    clock_format_utc(INT64_MAX, text);
    assert_string_equal(text, "2262-04-11T23:47:16Z");
    clock_format_utc(INT64_MIN, text);
    assert_string_equal(text, "1677-09-21T00:12:43Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(coarse_time_is_never_ahead),
        cmocka_unit_test(monotonic_time_is_the_same_in_another_process),
        cmocka_unit_test(cpu_time_grows_with_work),
        cmocka_unit_test(sleeping_ends_at_or_after_its_instant),
        cmocka_unit_test(an_instant_that_is_past_is_not_waited_for),
        cmocka_unit_test(sleeping_goes_on_after_a_signal),
        cmocka_unit_test(wall_time_is_written_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
