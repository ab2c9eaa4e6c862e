// SPDX-License-Identifier: Apache-2.0
// Against a real broker: the bytes by account add up. At most a hundredth of the process is not accounted for, with
// every strategy and shape; memory that nobody has in a book is exactly there.
//
// A pool may be growing in the background when the bytes are read, so that books and pages are of two instants: then
// they are read again. They stay apart when a book is wrong.
#include "base/clock.h"
#include "tests/broker_process.h"
#include "tests/many_clients.h"
#include "tests/temp_dir.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { CLIENTS = 2000, LEAK_BYTES = 8 << 20, WORDS_MAX = 24 };

// The books do not have what sanitizers and checked builds keep for themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(POOLMARK_CHECK)
enum { KEEPS_MORE = 1 };
#else
enum { KEEPS_MORE = 0 };
#endif

struct told {
    int64_t pss, rest, objects, arenas, buffers, reserve, subscriptions;
    char text[4096];
};

static void take_line(struct told *told, const char *line)
{
    static const struct {
        const char *name;
        size_t at;
    } names[] = {{"pss", offsetof(struct told, pss)},
                 {"rest", offsetof(struct told, rest)},
                 {"objects", offsetof(struct told, objects)},
                 {"arenas", offsetof(struct told, arenas)},
                 {"buffers", offsetof(struct told, buffers)},
                 {"reserve", offsetof(struct told, reserve)},
                 {"subscriptions", offsetof(struct told, subscriptions)}};
    char name[32];
    int64_t value;
    if (sscanf(line, "bytes_%31s %" SCNd64, name, &value) != 2)
        return;
    size_t used = strlen(told->text);
    snprintf(told->text + used, sizeof told->text - used, "%s %" PRId64 "\n", name, value);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, name) == 0)
            memcpy((char *)told + names[i].at, &value, sizeof value);
}

static void read_told(struct process *broker, struct told *told)
{
    *told = (struct told){.pss = -1};
    process_signal(broker, SIGUSR1);
    const char *line;
    while ((line = process_wait_line(broker, "")) && strcmp(line, "end of statistics") != 0)
        take_line(told, line);
    assert_non_null(line);
    assert_true(told->pss > 0);
}

// Reads until `wanted` bytes, to a hundredth of the process, are not accounted for.
static void expect_rest(struct process *broker, int64_t wanted, const char *what, struct told *told)
{
    int64_t deadline_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
    for (;;) {
        read_told(broker, told);
        if (llabs(told->rest - wanted) <= told->pss / 100)
            return;
        if (clock_now_ns() > deadline_ns)
            fail_msg("%s: %" PRId64 " of %" PRId64 " bytes are not accounted for, not %" PRId64 ":\n%s", what,
                     told->rest, told->pss, wanted, told->text);
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_S / 10}, NULL);
    }
}

static void test_strategy(const char *strategy, const char *shape)
{
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], what[64];
    temp_dir_make(dir);
    temp_dir_file(dir, "broker", record);
    bool is_classic = strcmp(shape, "classic") == 0;
    // `fixed` owns no more than it made: for lean connections no buffers.
    const char *buffers = is_classic ? "buffers=4000" : "buffers=0";
    const char *end_or_initial = strcmp(strategy, "fixed") == 0 ? "--initial" : NULL;
    struct process *broker =
        process_start_broker("--pool", strategy, "--shape", shape, "--threads", "2", "--record", record,
                             end_or_initial, "2000", "--initial", "arenas=2000", "--initial", buffers, NULL);
    struct told told;
    snprintf(what, sizeof what, "%s, %s, nobody", strategy, shape);
    expect_rest(broker, 0, what, &told);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), CLIENTS, 64, "c");
    assert_int_equal(clients.accepted, CLIENTS);
    snprintf(what, sizeof what, "%s, %s, %d clients", strategy, shape, CLIENTS);
    expect_rest(broker, 0, what, &told);
    assert_int_equal(told.objects % CLIENTS, 0);
    if (is_classic) {
        assert_int_equal(told.objects, CLIENTS * 3072);
        assert_int_equal(told.arenas, CLIENTS * 6144);
        assert_int_equal(told.buffers, CLIENTS * 2 * 4096);
    } else {
        assert_int_equal(told.buffers, 0);
    }
    many_clients_close(&clients);
    snprintf(what, sizeof what, "%s, %s, all have left", strategy, shape);
    expect_rest(broker, 0, what, &told);
    assert_int_equal(process_stop(broker), 0);
    temp_dir_remove(dir);
}

static void every_strategy_adds_up(void **state)
{
    (void)state;
    if (KEEPS_MORE)
        skip();
    static const char *const strategies[] = {"malloc", "fixed", "expand", "sync", "slab"};
    for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
        test_strategy(strategies[i], "lean");
        test_strategy(strategies[i], "classic");
    }
}

// tests/plugins/leak.c takes memory in the broker's 100th accept4, and keeps it.
static void test_leak(const char *how)
{
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    temp_dir_file(dir, "broker", record);
    setenv("LD_PRELOAD", PLUGINS "/leak.so", 1);
    setenv("POOLMARK_LEAK", how, 1);
    struct process *broker =
        process_start_broker("--pool", "slab", "--shape", "lean", "--threads", "2", "--record", record, NULL);
    unsetenv("LD_PRELOAD");
    unsetenv("POOLMARK_LEAK");
    struct told told;
    expect_rest(broker, 0, how, &told);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 200, 1, "c");
    assert_int_equal(clients.accepted, 200);
    expect_rest(broker, LEAK_BYTES, how, &told);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
    temp_dir_remove(dir);
}

static void memory_in_no_book_is_not_accounted_for(void **state)
{
    (void)state;
    if (KEEPS_MORE)
        skip();
    test_leak("map");   // pages that a library maps
    test_leak("block"); // one large block of the heap
    test_leak("small"); // many small blocks
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_strategy_adds_up),
        cmocka_unit_test(memory_in_no_book_is_not_accounted_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
