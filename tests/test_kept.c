// SPDX-License-Identifier: Apache-2.0
// What a broker tells of the sessions that it keeps, and work of children that have ended.
#include "base/clock.h"
#include "loadgen/children.h"
#include "loadgen/kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TOPIC "$SYS/broker/clients/disconnected"

static void test_the_number_is_taken_from_whole_packets(void **state)
{
    (void)state;
    static const char answers[] = "\x20\x02\0\0"
                                  "\x90\x03\0\1\0"
                                  "\x31\x24\0\x20" TOPIC "50"
                                  "\xd0\0";
    size_t size = sizeof answers - 1;
    for (size_t first = 0; first <= size; first++) {
        int64_t sessions = -1;
        int done = 0;
        long used = kept_take(answers, first, &sessions, &done);
        assert_true(used >= 0 && (size_t)used <= first && (!done || first == size));
        assert_int_equal(used + kept_take(answers + used, size - (size_t)used, &sessions, &done), size);
        assert_int_equal(sessions, 50);
        assert_true(done);
    }
    int64_t sessions = -1;
    int done = 0;
    assert_int_equal(kept_take("\x00\x00", 2, &sessions, &done), -1);
    assert_int_equal(kept_take("\x31\x05\0\1aXY", 7, &sessions, &done), 7); // of another topic
    assert_int_equal(sessions, -1);
}

static void test_work_of_a_child_that_has_ended_is_known(void **state)
{
    (void)state;
    int64_t pid = getpid();
    struct children before, now;
    struct children_work work;
    children_read(&before, &pid, 1);
    assert_true(before.read && before.target_cpu_ns > 0 && !children_judge(&before, &before, &work));
    pid_t child = fork();
    if (child == 0) {
        while (clock_cpu_ns() < 100 * NS_PER_MS)
            ;
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    children_read(&now, &pid, 1);
    assert_true(now.cpu_ns - before.cpu_ns >= 60 * NS_PER_MS);
    now.target_cpu_ns = before.target_cpu_ns + NS_PER_S;
    assert_true(children_judge(&before, &now, &work) && work.much_cpu);
    now.target_cpu_ns = before.target_cpu_ns + 100 * NS_PER_S;
    assert_false(children_judge(&before, &now, &work));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_number_is_taken_from_whole_packets),
        cmocka_unit_test(test_work_of_a_child_that_has_ended_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
