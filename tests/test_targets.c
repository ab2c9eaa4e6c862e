// SPDX-License-Identifier: Apache-2.0
// Watched processes that end: noticed at once, with the signal while that can be known.
#include "base/clock.h"
#include "loadgen/targets.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t start(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void end(pid_t pid, int signal)
{
    siginfo_t info;
    assert_int_equal(kill(pid, signal), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void assert_says(const struct targets *targets, const char *words)
{
    char text[400];
    if (!strstr(targets_describe(targets, text, sizeof text), words))
        fail_msg("\"%s\" is not in \"%s\"", words, text);
}

static void check(bool with_descriptors)
{
    int64_t pids[] = {start(), start()};
    struct targets targets;
    assert_int_equal(targets_open(&targets, pids, 2, 0), 0);
    for (int i = 0; i < 2 && !with_descriptors; i++) { // as where pidfd_open is refused
        close(targets.list[i].fd);
        targets.list[i].fd = -1;
    }
    char text[400];
    assert_false(targets_look(&targets, NS_PER_S));
    assert_string_equal(targets_describe(&targets, text, sizeof text), "");
    end((pid_t)pids[1], SIGKILL);
    assert_true(targets_look(&targets, 2 * NS_PER_S));
    assert_false(targets_look(&targets, 3 * NS_PER_S)); // said once
    assert_int_equal(targets.ended, 1);
    snprintf(text, sizeof text, "the watched process %lld ended after 2.000 s, killed by SIGKILL",
             (long long)pids[1]);
    assert_says(&targets, text);

    end((pid_t)pids[0], SIGTERM);
    assert_int_equal(waitpid((pid_t)pids[0], NULL, 0), pids[0]); // and somebody has waited for it
    assert_true(targets_look(&targets, 4 * NS_PER_S));
    assert_says(&targets, "ended after 4.000 s");
    targets_close(&targets);
    assert_int_equal(waitpid((pid_t)pids[1], NULL, 0), pids[1]);
}

static void test_an_end_is_noticed_by_descriptor(void **state)
{
    (void)state;
    check(true);
}

static void test_an_end_is_noticed_without_descriptors(void **state)
{
    (void)state;
    check(false);
}

static void test_another_process_of_the_same_number_is_not_the_target(void **state)
{
    (void)state;
    int64_t pid = start();
    struct targets targets;
    assert_int_equal(targets_open(&targets, &pid, 1, 0), 0);
    close(targets.list[0].fd);
    targets.list[0].fd = -1;
    targets.list[0].start_ticks--; // the one that was watched had begun before
    assert_true(targets_look(&targets, NS_PER_S));
    targets_close(&targets);
    end((pid_t)pid, SIGKILL);
    assert_int_equal(waitpid((pid_t)pid, NULL, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_is_noticed_by_descriptor),
        cmocka_unit_test(test_an_end_is_noticed_without_descriptors),
        cmocka_unit_test(test_another_process_of_the_same_number_is_not_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
