// SPDX-License-Identifier: Apache-2.0
// Watched processes that stand still: seen, with the time as far as it was sampled. The clock is the test's own.
#include "base/clock.h"
#include "loadgen/stops.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t start(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_true(pid > 0);
    return pid;
}

static void stop(pid_t pid)
{
    siginfo_t info;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
}

static void resume(pid_t pid)
{
    siginfo_t info;
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WCONTINUED), 0);
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_process_that_is_stopped_is_seen_with_its_time(void **state)
{
    (void)state;
    char text[900];
    int64_t pids[] = {start(), start()};
    int64_t from_ns = clock_now_ns();
    struct stops stops;
    assert_int_equal(stops_open(&stops, pids, 2, from_ns), 0);
    assert_false(stops.seen);
    from_ns = stops.looked_ns;
    stop((pid_t)pids[1]);
    stops_look(&stops, from_ns + NS_PER_MS); // too early for a look
    assert_false(stops.seen);
    for (int i = 1; i <= 5; i++)
        stops_look(&stops, from_ns + i * 100 * NS_PER_MS);
    assert_true(stops.seen);
    assert_int_equal(stops_ns(&stops), 500 * NS_PER_MS);
    resume((pid_t)pids[1]);
    stops_look(&stops, from_ns + NS_PER_S);
    stop((pid_t)pids[1]); // again, at some time in the next two seconds
    stops_look(&stops, from_ns + 3 * NS_PER_S);
    assert_int_equal(stops_ns(&stops), 600 * NS_PER_MS);
    assert_true(stops_tell(&stops, STOP_STOPPED, text, sizeof text));
    assert_non_null(strstr(text, "was stopped (SIGSTOP"));
    assert_non_null(strstr(text, "for about 0.6 s of the run, as far as sampled: 6 of 8 looks"));
    assert_non_null(strstr(text, "the longest time was about 0.5 s"));
    assert_false(stops_tell(&stops, STOP_FROZEN, text, sizeof text));
    json_t *json = stops_json(&stops);
    assert_int_equal(json_array_size(json), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json, 0), "ns")), 600 * NS_PER_MS);
    json_decref(json);
    stops_close(&stops);
    end((pid_t)pids[0]);
    end((pid_t)pids[1]);
}

static void test_one_that_is_stopped_at_the_start_is_named_with_how_to_resume_it(void **state)
{
    (void)state;
    char text[300];
    int64_t pid = start();
    struct stops stops;
    stop((pid_t)pid);
    assert_int_equal(stops_open(&stops, &pid, 1, clock_now_ns()), 0);
    assert_true(stops.seen);
    assert_non_null(strstr(stops_now(&stops, text, sizeof text), "already when the run began (kill -CONT"));
    assert_non_null(strstr(stops_describe(&stops, text, sizeof text), "was stopped"));
    stops_close(&stops);
    end((pid_t)pid);
}

static void *sleep_on(void *context)
{
    for (;;)
        pause();
    return context;
}

static pid_t start_with_two_threads(void)
{
    pthread_t thread;
    pid_t pid = fork();
    if (pid == 0) {
        (void)!pthread_create(&thread, NULL, sleep_on, NULL);
        sleep_on(NULL);
    }
    assert_true(pid > 0);
    return pid;
}

// Waits until it is there.
static pid_t second_thread_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    for (;;) {
        DIR *folder = opendir(path);
        assert_non_null(folder);
        long tid = 0;
        for (struct dirent *entry; (entry = readdir(folder));)
            if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != pid)
                tid = strtol(entry->d_name, NULL, 10);
        closedir(folder);
        if (tid > 0)
            return (pid_t)tid;
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    }
}

// The first thread goes on.
static void test_one_thread_alone_that_a_debugger_holds_is_seen(void **state)
{
    (void)state;
    char text[900];
    int64_t pid = start_with_two_threads();
    pid_t thread = second_thread_of((pid_t)pid);
    struct stops stops;
    assert_int_equal(stops_open(&stops, &pid, 1, clock_now_ns()), 0);
    int64_t from_ns = stops.looked_ns;
    assert_false(stops.seen);
    bool held = ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0;
    if (held) {
        assert_int_equal(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), 0);
        assert_int_equal(waitpid(thread, NULL, __WALL), thread);
        for (int i = 1; i <= 30; i++)
            stops_look(&stops, from_ns + i * 100 * NS_PER_MS);
        assert_true(stops_tell(&stops, STOP_HELD, text, sizeof text));
        assert_non_null(strstr(text, "seen at its thread "));
        assert_in_range(stops_ns(&stops), 1500 * NS_PER_MS, 3000 * NS_PER_MS);
        assert_int_equal(ptrace(PTRACE_DETACH, thread, NULL, NULL), 0);
    }
    stops_close(&stops);
    end((pid_t)pid);
    if (!held)
        skip();
}

static void test_without_watched_processes_there_is_nothing_to_say(void **state)
{
    (void)state;
    char text[300];
    struct stops stops;
    assert_int_equal(stops_open(&stops, NULL, 0, clock_now_ns()), 0);
    stops_look(&stops, clock_now_ns() + NS_PER_S);
    assert_string_equal(stops_now(&stops, text, sizeof text), "");
    assert_string_equal(stops_describe(&stops, text, sizeof text), "");
    assert_null(stops_json(&stops));
    stops_close(&stops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_that_is_stopped_is_seen_with_its_time),
        cmocka_unit_test(test_one_that_is_stopped_at_the_start_is_named_with_how_to_resume_it),
        cmocka_unit_test(test_one_thread_alone_that_a_debugger_holds_is_seen),
        cmocka_unit_test(test_without_watched_processes_there_is_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
