// SPDX-License-Identifier: Apache-2.0
// Processes in different time namespaces have one time, once they have joined. Without root the kernel allows no namespace
// to be made: then that test is skipped.
#include "base/clock.h"
#include "base/time_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { AHEAD_S = 5000 };

static void test_the_text_of_the_kernel_is_understood(void **state)
{
    (void)state;
    int64_t ns;
    assert_int_equal(time_namespace_parse("monotonic        5000 250000000\nboottime 7 0\n", &ns), 0);
    assert_int_equal(ns, 5000 * NS_PER_S + 250 * NS_PER_MS);
    assert_int_equal(time_namespace_parse("monotonic -2 500000000\nboottime 0 0\n", &ns), 0);
    assert_int_equal(ns, -1500 * NS_PER_MS);
    assert_int_equal(time_namespace_parse("boottime 0 0\n", &ns), -EPROTO);
    assert_int_equal(time_namespace_parse("", &ns), -EPROTO);
}

static void test_a_process_that_has_joined_knows_its_time(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(time_namespace_join(&err), 0);
    assert_true(time_namespace_known());
    assert_int_equal(time_namespace_join(&err), 0); // again, as a program that another one began
}

static int64_t wall_ahead_ns(void)
{
    return clock_wall_ns() - clock_now_ns();
}

static bool is_near(int64_t a_ns, int64_t b_ns)
{
    int64_t apart_ns = a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;
    return apart_ns < 100 * NS_PER_S; // two readings of a host however busy
}

// In the new namespace. Waits of the kernel are by its own clock: they have to end, and not at once.
static int child(int64_t host_ahead_ns)
{
    struct err err = {0};
    if (!is_near(wall_ahead_ns(), host_ahead_ns - AHEAD_S * NS_PER_S))
        return 1;
    if (time_namespace_join(&err) < 0 || !is_near(wall_ahead_ns(), host_ahead_ns))
        return 2;
    int64_t until_ns = clock_now_ns() + 20 * NS_PER_MS;
    clock_sleep_until_ns(until_ns);
    if (clock_now_ns() < until_ns || !is_near(clock_now_ns(), until_ns))
        return 3;
    struct timespec kernel;
    clock_gettime(CLOCK_MONOTONIC, &kernel);
    return is_near(clock_of_kernel_ns(kernel.tv_sec * NS_PER_S), clock_now_ns()) ? 0 : 4;
}

// A namespace is that of later children. 77: the kernel makes none here.
static int parent(int64_t host_ahead_ns)
{
    struct err err = {0};
    char text[64];
    int length = snprintf(text, sizeof text, "monotonic %d 0\n", AHEAD_S);
    if (unshare(CLONE_NEWTIME) < 0)
        return 77;
    int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)length) != length || close(fd) < 0)
        return 77;
    if (time_namespace_join(&err) != -EXDEV || time_namespace_known() || !strstr(err.text, "--fork"))
        return 5;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(child(host_ahead_ns));
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 6;
}

static void test_children_in_another_namespace_have_the_hosts_time_and_their_parent_is_refused(void **state)
{
    (void)state;
    int64_t ahead_ns = wall_ahead_ns();
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(parent(ahead_ns));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_text_of_the_kernel_is_understood),
        cmocka_unit_test(test_children_in_another_namespace_have_the_hosts_time_and_their_parent_is_refused),
        cmocka_unit_test(test_a_process_that_has_joined_knows_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
