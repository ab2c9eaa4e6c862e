// SPDX-License-Identifier: Apache-2.0
// The broker's handicaps: how often each is due. This file compiles them in, whatever the build has.
// scripts/poolmark sensitivity tests their effect on clients.
#undef POOLMARK_HANDICAP_CONNECT
#undef POOLMARK_HANDICAP_LOSS
#define POOLMARK_HANDICAP_CONNECT 200
#define POOLMARK_HANDICAP_LOSS 1000
#include "base/clock.h"
#include "broker/mqtt/handicap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void one_message_in_so_many_is_lost(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int message = 1; message < POOLMARK_HANDICAP_LOSS; message++)
            assert_false(handicap_loses_message());
        assert_true(handicap_loses_message());
    }
}

static void one_connect_in_fifty_takes_its_time(void **state)
{
    (void)state;
    for (int connect = 1; connect < HANDICAP_CONNECT_EVERY; connect++)
        handicap_connect();
    int64_t before = clock_now_ns();
    handicap_connect();
    assert_true(clock_now_ns() - before >=
                INT64_C(1000) * POOLMARK_HANDICAP_CONNECT); // at least: no upper bound
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_in_so_many_is_lost),
        cmocka_unit_test(one_connect_in_fifty_takes_its_time),
    };
    return cmocka_run_group_tests_name("broker handicap", tests, NULL, NULL);
}
