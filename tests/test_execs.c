// SPDX-License-Identifier: Apache-2.0
// Watched processes that execute another program: told once, with both names. The clock is the test's own.
#include "base/clock.h"
#include "loadgen/execs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// A child that executes `program` when a byte comes.
struct child {
    pid_t pid;
    int tell;
};

static struct child start(const char *program)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte;
        close(ends[1]);
        if (program && read(ends[0], &byte, 1) == 1)
            execl(program, program, "60", (char *)NULL);
        for (;;)
            pause();
    }
    close(ends[0]);
    return (struct child){.pid = pid, .tell = ends[1]};
}

static void end(struct child child)
{
    close(child.tell);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

static void await_program(pid_t pid, const char *name)
{
    char path[64], link[256];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    for (int i = 0; i < 6000; i++) {
        ssize_t bytes = readlink(path, link, sizeof link - 1);
        link[bytes > 0 ? bytes : 0] = '\0';
        if (strstr(link, name))
            return;
        clock_sleep_until_ns(clock_now_ns() + 10 * NS_PER_MS);
    }
    fail();
}

static void test_a_process_that_executes_another_program_is_told(void **state)
{
    (void)state;
    char text[500];
    struct child children[] = {start(NULL), start("/bin/sleep")};
    int64_t pids[] = {children[0].pid, children[1].pid}, from_ns = clock_now_ns();
    struct execs execs;
    assert_int_equal(execs_open(&execs, pids, 2, from_ns), 0);
    assert_false(execs_look(&execs, from_ns + 600 * NS_PER_MS, false));
    assert_string_equal(execs_tell(&execs, text, sizeof text), "");
    assert_int_equal(write(children[1].tell, "x", 1), 1);
    await_program(children[1].pid, "sleep");
    assert_false(execs_look(&execs, from_ns + 700 * NS_PER_MS, false)); // too early for a look
    assert_true(execs_look(&execs, from_ns + 1200 * NS_PER_MS, false));
    assert_false(execs_look(&execs, from_ns + 1300 * NS_PER_MS, true)); // told already
    execs_tell(&execs, text, sizeof text);
    assert_non_null(strstr(text, "executed another program (exec), seen 1.2 s after the run's begin: "));
    assert_non_null(strstr(text, "test_execs, then "));
    assert_non_null(strstr(text, "sleep"));
    end(children[0]);
    end(children[1]);
    assert_false(
        execs_look(&execs, from_ns + 2000 * NS_PER_MS, true)); // they have ended, which is no program
    execs_close(&execs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_that_executes_another_program_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
