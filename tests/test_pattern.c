// SPDX-License-Identifier: Apache-2.0
#include "loadgen/board.h"
#include "loadgen/pattern.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct pattern some[] = {
    {PATTERN_PAIRS, 5, 5, 5, 0, 0, 0, 0},       {PATTERN_FAN_IN, 1000, 3, 1, 0, 0, 0, 0},
    {PATTERN_FAN_OUT, 1, 500, 1, 0, 0, 0, 0},   {PATTERN_FAN_OUT, 7, 7, 1, 0, 0, 0, 0},
    {PATTERN_TOPICS, 20, 30, 7, 0, 0, 0, 0},    {PATTERN_TOPICS, 7, 7, 7, 0, 0, 0, 0},
    {PATTERN_FAN_IN, 999999, 1, 1, 0, 0, 0, 0}, {PATTERN_TOPICS, 3, 4000, 3, 0, 0, 0, 0},
    {PATTERN_FAN_OUT, 2, 50, 1, 10, 0, 0, 0},   {PATTERN_TOPICS, 5, 40, 4, 39, 7, 0, 0},
    {PATTERN_FAN_IN, 5, 4, 1, 4, 2, 0, 0}, // publishers first: groups of the scenario mix
};
enum { SOME = sizeof some / sizeof some[0] };

static void test_every_client_has_one_role_and_every_publisher_one_client(void **state)
{
    (void)state;
    for (int i = 0; i < SOME; i++) {
        const struct pattern *pattern = &some[i];
        int64_t publishers = 0, subscribers = 0;
        for (int64_t client = 0; client < pattern_clients(pattern) + 3; client++) {
            assert_int_equal(pattern_publishers_before(pattern, client), publishers);
            assert_int_equal(pattern_subscribers_before(pattern, client), subscribers);
            bool publishes = pattern_is_publisher(pattern, client);
            bool subscribes = pattern_is_subscriber(pattern, client);
            assert_int_equal(publishes + subscribes, client < pattern_clients(pattern) ? 1 : 0);
            if (publishes)
                assert_int_equal(pattern_publisher_client(pattern, publishers), client);
            publishers += publishes;
            subscribers += subscribes;
        }
        assert_int_equal(publishers, pattern->publishers);
        assert_int_equal(subscribers, pattern->subscribers);
        for (int64_t client = pattern_first_apart(pattern); client < pattern_clients(pattern); client++)
            assert_true(pattern_is_subscriber(pattern, client));
    }
}

// Every stretch of clients, which is the share of a worker, has publishers and subscribers in their ratio.
static void test_a_stretch_of_clients_has_both(void **state)
{
    (void)state;
    const struct pattern pattern = {PATTERN_TOPICS, 100, 300, 10, 0, 0, 0, 0};
    for (int64_t first = 0; first + 40 <= 400; first++) {
        int64_t publishers =
            pattern_publishers_before(&pattern, first + 40) - pattern_publishers_before(&pattern, first);
        assert_int_equal(publishers, 10);
    }
}

static void test_senders_and_receivers_are_those_of_the_topic(void **state)
{
    (void)state;
    for (int i = 0; i < SOME; i++) {
        const struct pattern *pattern = &some[i];
        if (pattern->publishers * pattern->subscribers > 100000)
            continue;
        int64_t streams = 0;
        for (int64_t p = 0; p < pattern->publishers; p++) {
            int64_t receivers = 0, apart = 0, slow = 0;
            for (int64_t s = 0; s < pattern->subscribers; s++) {
                bool receives = pattern_topic(pattern, p) == pattern_topic(pattern, s);
                receivers += receives;
                apart += receives && s >= pattern->subscribers - pattern->apart;
                slow += receives && s >= pattern->subscribers - pattern->slow;
            }
            assert_int_equal(pattern_receivers_among(pattern, p, pattern->subscribers - pattern->apart,
                                                     pattern->subscribers),
                             apart);
            assert_int_equal(pattern_receivers_slow(pattern, p), slow);
            assert_int_equal(pattern_receivers(pattern, p), receivers);
            streams += receivers;
        }
        assert_int_equal(pattern_streams(pattern), streams);
        int64_t senders = 0;
        for (int64_t s = 0; s < pattern->subscribers; s++)
            senders += pattern_senders(pattern, s);
        assert_int_equal(senders, streams);
    }
}

static void test_a_pattern_is_read_and_named(void **state)
{
    (void)state;
    struct pattern pattern;
    struct err err = {0};
    assert_int_equal(pattern_parse(&pattern, "topics:1k", &err), 0);
    assert_int_equal(pattern.topics, 1000);
    assert_string_equal(pattern_name(&pattern), "topics");
    assert_int_equal(pattern_parse(&pattern, "fan-in", &err), 0);
    assert_int_equal(pattern.kind, PATTERN_FAN_IN);
    static const char *const bad[] = {"",         "topics",    "topics:", "topics:0", "topics:-1",
                                      "topics:x", "topics:2M", "fan",     "Pairs"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(pattern_parse(&pattern, bad[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, "topics:N"));
    }
}

static void test_the_board_tells_how_far_subscribers_are_on_the_average(void **state)
{
    (void)state;
    const struct pattern pattern = {PATTERN_TOPICS, 4, 6, 2, 0, 0, 0, 0};
    struct board *board;
    struct err err = {0};
    assert_int_equal(board_open(&board, &pattern, &err), 0);
    assert_int_equal(board_passed(board, 1), 0); // nobody is there
    board_join(board, 1, 3);
    board_pass(board, 1, 5);
    board_pass(board, 1, 4);
    assert_int_equal(board_passed(board, 1), 3);
    assert_int_equal(board_passed(board, 3), 0); // another publisher of that topic
    board_join(board, 1, -1);                    // with the one that had passed 5
    board_pass(board, 1, -5);
    assert_int_equal(board_passed(board, 1), 2);
    board_set_sent(board, 3, &(struct board_sent){.sent = 7, .warm_up = 2, .last_ns = 99});
    assert_int_equal(board_sent(board, 3).sent, 7);
    assert_int_equal(board_sent(board, 3).warm_up, 2);
    board_finish(board, 3);
    assert_false(board_finished(board));
    board_finish(board, 1);
    assert_true(board_finished(board));
    board_reset(board);
    assert_false(board_finished(board));
    assert_int_equal(board_passed(board, 1), 0);
    assert_int_equal(board_sent(board, 3).sent, 0);
    board_close(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_client_has_one_role_and_every_publisher_one_client),
        cmocka_unit_test(test_a_stretch_of_clients_has_both),
        cmocka_unit_test(test_senders_and_receivers_are_those_of_the_topic),
        cmocka_unit_test(test_a_pattern_is_read_and_named),
        cmocka_unit_test(test_the_board_tells_how_far_subscribers_are_on_the_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
