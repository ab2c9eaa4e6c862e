// SPDX-License-Identifier: Apache-2.0
// Patterns over ranks: the parts have all of the whole, and each part what it needs.
#include "loadgen/pattern_parts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS_MAX = 7 };

static const struct division_rank alike[RANKS_MAX] = {
    {2, 19000, 1000000, false, NULL}, {2, 19000, 1000000, false, NULL}, {2, 19000, 1000000, false, NULL},
    {2, 19000, 1000000, false, NULL}, {2, 19000, 1000000, false, NULL}, {2, 19000, 1000000, false, NULL},
    {2, 19000, 1000000, false, NULL}};

static struct division divided(const struct pattern *pattern, int64_t clients, int ranks)
{
    struct division division;
    struct err err = {0};
    struct division_request request = {.clients = clients,
                                       .engine_clients = 1000,
                                       .split = pattern->apart > 0 ? pattern_first_apart(pattern) : 0,
                                       .even = pattern->publishers == pattern->subscribers - pattern->apart,
                                       .ranks = ranks,
                                       .of = alike};
    if (division_make(&division, &request, &err) < 0)
        fail_msg("%s", err.text);
    return division;
}

static int make(struct pattern parts[RANKS_MAX], const struct pattern *pattern, int64_t clients, int ranks,
                struct err *err)
{
    struct division division = divided(pattern, clients, ranks);
    int code = pattern_parts_make(parts, pattern, &division, clients, err);
    for (int rank = 0; code == 0 && rank < ranks; rank++)
        assert_true(pattern_clients(&parts[rank]) <= division_clients(&division, clients, rank));
    division_free(&division);
    return code;
}

// All of the whole is in the parts, in one row of turns, and no publisher or subscriber has nobody.
static void assert_whole(const struct pattern *parts, const struct pattern *whole, int ranks)
{
    int64_t publishers = 0, subscribers = 0, slow = 0, topics = 0;
    for (int rank = 0; rank < ranks; rank++) {
        const struct pattern *part = &parts[rank];
        assert_int_equal(part->kind, whole->kind);
        assert_int_equal(part->turns, whole->publishers);
        assert_int_equal(part->before, publishers);
        publishers += part->publishers;
        subscribers += part->subscribers;
        slow += part->slow;
        if (pattern_clients(part) == 0)
            continue;
        topics += part->topics;
        assert_true(part->publishers >= part->topics);
        assert_true(part->subscribers - part->slow >= part->topics);
    }
    assert_int_equal(publishers, whole->publishers);
    assert_int_equal(subscribers, whole->subscribers);
    assert_int_equal(slow, whole->slow);
    if (whole->kind == PATTERN_TOPICS)
        assert_int_equal(topics, whole->topics);
}

static void made_or_refused(const struct pattern *whole, int64_t clients, int ranks, bool refused)
{
    struct pattern parts[RANKS_MAX];
    struct err err = {0};
    int code = make(parts, whole, clients, ranks, &err);
    if (code < 0 && !refused)
        fail_msg("%d ranks: %s", ranks, err.text);
    if (code == 0)
        assert_whole(parts, whole, ranks);
    else
        assert_true(code == -EINVAL && strstr(err.text, pattern_name(whole)));
}

static void parts_have_all_of_the_whole(void **state)
{
    (void)state;
    static const struct pattern wholes[] = {
        {.kind = PATTERN_FAN_IN, .publishers = 100, .subscribers = 7, .topics = 1},
        {.kind = PATTERN_FAN_OUT, .publishers = 7, .subscribers = 100, .topics = 1},
        {.kind = PATTERN_FAN_OUT, .publishers = 50, .subscribers = 50, .topics = 1},
        {.kind = PATTERN_TOPICS, .publishers = 100, .subscribers = 100, .topics = 100},
        {.kind = PATTERN_TOPICS, .publishers = 100, .subscribers = 300, .topics = 100},
        {.kind = PATTERN_TOPICS, .publishers = 300, .subscribers = 500, .topics = 20},
        {.kind = PATTERN_FAN_OUT, .publishers = 7, .subscribers = 50, .topics = 1, .apart = 10, .slow = 10},
        {.kind = PATTERN_FAN_OUT, .publishers = 9, .subscribers = 90, .topics = 1, .apart = 60, .slow = 60},
    };
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        for (int ranks = 2; ranks <= RANKS_MAX; ranks++)
            made_or_refused(&wholes[i], pattern_clients(&wholes[i]), ranks, false);
}

// Whatever the numbers, with and without idle clients: what is made is whole, and nothing else is made.
static void what_cannot_be_shared_is_refused(void **state)
{
    (void)state;
    for (int64_t publishers = 1; publishers < 12; publishers++)
        for (int64_t subscribers = 1; subscribers < 12; subscribers++)
            for (int ranks = 2; ranks <= 5; ranks++)
                for (int idle = 0; idle < 40; idle += 13) {
                    int64_t clients = publishers + subscribers + idle;
                    struct pattern whole = {.publishers = publishers, .subscribers = subscribers};
                    int64_t fewer = publishers < subscribers ? publishers : subscribers;
                    for (whole.topics = 1; whole.topics <= fewer; whole.topics++) {
                        whole.kind = PATTERN_TOPICS;
                        made_or_refused(&whole, clients, ranks, true);
                    }
                    whole.topics = 1;
                    whole.kind = PATTERN_FAN_OUT;
                    made_or_refused(&whole, clients, ranks, true);
                }
}

static void one_publisher_is_on_the_first_rank_if_that_has_the_clients(void **state)
{
    (void)state;
    struct pattern parts[RANKS_MAX];
    struct pattern whole = {.kind = PATTERN_FAN_OUT, .publishers = 1, .subscribers = 100, .topics = 1};
    struct err err = {0};
    assert_int_equal(make(parts, &whole, 900, 3, &err), 0);
    assert_int_equal(pattern_clients(&parts[0]), 101);
    assert_int_equal(pattern_clients(&parts[1]) + pattern_clients(&parts[2]), 0);
    assert_int_equal(make(parts, &whole, 101, 3, &err), -EINVAL);
    assert_non_null(strstr(err.text, "1 publishers"));
    assert_non_null(strstr(err.text, "at least 3 of each"));
}

static void slow_readers_need_a_publisher_on_their_rank(void **state)
{
    (void)state;
    struct pattern whole = {
        .kind = PATTERN_FAN_OUT, .publishers = 1, .subscribers = 50, .topics = 1, .apart = 10, .slow = 10};
    struct pattern parts[RANKS_MAX];
    struct err err = {0};
    assert_int_equal(make(parts, &whole, 51, 3, &err), -EINVAL);
    assert_non_null(strstr(err.text, "that are not slow"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_all_of_the_whole),
        cmocka_unit_test(what_cannot_be_shared_is_refused),
        cmocka_unit_test(one_publisher_is_on_the_first_rank_if_that_has_the_clients),
        cmocka_unit_test(slow_readers_need_a_publisher_on_their_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
