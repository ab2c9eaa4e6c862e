// SPDX-License-Identifier: Apache-2.0
// Patterns other than pairs, and slow readers, over three ranks: each has a part of its own (loadgen/pattern_parts.h).
#include "tests/ranks_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int64_t part_of(const struct load_run *load, size_t rank, const char *name)
{
    const json_t *part = json_object_get(ranks_load_rank(load, rank), "pattern");
    assert_true(json_is_object(part));
    return json_integer_value(json_object_get(part, name));
}

// Every part is a whole pattern on its rank: the broker delivers what is expected, and each rank's own counts balance.
static void patterns_have_a_part_on_each_rank(void **state)
{
    (void)state;
    static const char *const patterns[][8] = {
        {"fan-in", "--publishers", "30", "--subscribers", "6", "--publish-rate", "900", NULL},
        {"fan-out", "--publishers", "3", "--subscribers", "60", "--publish-rate", "90", NULL},
        {"topics:10", "--publishers", "20", "--subscribers", "40", "--publish-rate", "600", NULL},
        {"fan-out", "--subscribers", "30", "--publish-rate", "90", NULL}, // a publisher on each rank
        {"topics:10", "--publish-rate", "0", "--in-flight", "5", NULL}};
    for (int i = 0; i < LOAD_ENGINES; i++)
        for (size_t p = 0; p < (i == 0 ? sizeof patterns / sizeof *patterns : 1); p++) { // one suffices there
            struct process *broker = process_start_broker(NULL, NULL);
            struct load_run load;
            load_run_prepare(&load, process_port(broker), "publish", load_run_engines[i]);
            load_run_add(&load, "--pattern", patterns[p][0], "--workers", "2", "--qos", "1", "--duration",
                         "500ms", "--warmup", "0", NULL);
            for (int j = 1; patterns[p][j]; j++)
                load_run_add(&load, patterns[p][j], NULL);
            ranks_load_completes(&load);
            int64_t due = 0, received = 0;
            for (size_t rank = 0; rank < RANKS_LOAD; rank++) {
                int64_t senders = part_of(&load, rank, "publishers");
                int64_t each = part_of(&load, rank, "subscribers") / part_of(&load, rank, "topics");
                assert_true(senders > 0 && each > 0);
                assert_true(ranks_load_count(&load, rank, "sent") > 0);
                if (p != 2) // there all publishers have as many subscribers
                    assert_int_equal(ranks_load_count(&load, rank, "received"),
                                     each * ranks_load_count(&load, rank, "sent"));
                received += ranks_load_count(&load, rank, "received");
            }
            due = (int64_t)load_run_metric(&load, "deliveries.expected");
            assert_int_equal(received, due);
            assert_true(load_run_metric(&load, "messages.lost") == 0);
            assert_true(load_run_metric(&load, "messages.duplicates") == 0);
            assert_true(load_run_metric(&load, "delivery.count") == (double)due);
            assert_int_equal(process_statistic(broker, "messages_sent"), due);
            load_run_finish(&load);
            assert_int_equal(process_stop(broker), 0);
        }
}

static void slow_readers_are_on_all_ranks(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    load_run_prepare(&load, process_port(broker), "slow", "raw");
    load_run_add(&load, "--subscribers", "30", "--slow-share", "0.4", "--publish-rate", "60", "--before",
                 "300ms", "--duration", "600ms", "--after", "600ms", "--settle", "0", NULL);
    ranks_load_completes(&load);
    int64_t slow = 0;
    for (size_t rank = 0; rank < RANKS_LOAD; rank++) {
        assert_true(part_of(&load, rank, "slow_readers") > 0);
        slow += part_of(&load, rank, "slow_readers");
    }
    assert_int_equal(slow, 12);
    assert_true(load_run_metric(&load, "messages.sent") == 90);
    assert_true(load_run_metric(&load, "messages.lost") == 0);
    assert_true(load_run_metric(&load, "slow.received") + load_run_metric(&load, "slow.missed") ==
                load_run_metric(&load, "slow.due"));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_have_a_part_on_each_rank),
        cmocka_unit_test(slow_readers_are_on_all_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
