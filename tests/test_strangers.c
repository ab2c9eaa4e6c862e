// SPDX-License-Identifier: Apache-2.0
// Load of others by the target's CPU time in pauses, and by its descriptors.
#include "loadgen/strangers.h"

#include "base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_pause_counts_by_its_quietest_slice_and_a_run_by_its_busiest_pause(void **state)
{
    (void)state;
    struct strangers strangers;
    strangers_init(&strangers);
    strangers_pause(&strangers);
    assert_true(strangers_is_quiet(&strangers, 0)); // nothing could be read
    int64_t at_ns = 1000, cpu_ns = 0;
    strangers_read(&strangers, at_ns, cpu_ns);
    assert_false(strangers_is_quiet(&strangers, 0));                              // no slice has ended
    strangers_read(&strangers, at_ns += NS_PER_S / 2, cpu_ns += 400 * NS_PER_MS); // what connects left behind
    assert_false(strangers_is_quiet(&strangers, 0));
    strangers_read(&strangers, at_ns + 1000, cpu_ns); // too short for a slice
    strangers_read(&strangers, at_ns += NS_PER_S / 2, cpu_ns += NS_PER_MS);
    assert_true(strangers_is_quiet(&strangers, 0));
    strangers_resume(&strangers, 0);
    assert_true(fabs(strangers.idle_share - 0.002) < 1e-9);

    strangers_pause(&strangers);
    strangers_read(&strangers, at_ns, cpu_ns);
    for (int i = 0; i < 4; i++)
        strangers_read(&strangers, at_ns += NS_PER_S / 2, cpu_ns += 100 * NS_PER_MS);
    assert_false(strangers_is_quiet(&strangers, 0));
    strangers_resume(&strangers, 0.05); // our clients' own
    assert_true(fabs(strangers.idle_share - 0.15) < 1e-9);

    strangers_pause(&strangers);
    strangers_read(&strangers, at_ns, -1);
    strangers_resume(&strangers, 0);
    assert_true(fabs(strangers.idle_share - 0.15) < 1e-9);
}

static void test_descriptors_beyond_ours_are_those_of_others(void **state)
{
    (void)state;
    struct strangers strangers;
    strangers_init(&strangers);
    strangers_count(&strangers, -1, 0);
    assert_int_equal(strangers.base_descriptors, -1);
    strangers_count(&strangers, 20, 0);
    strangers_count(&strangers, 110, 100); // ten of ours are still on their way
    assert_int_equal(strangers.most_more, 0);
    strangers_count(&strangers, 170, 110);
    strangers_count(&strangers, 130, 110); // others left
    assert_int_equal(strangers.most_more, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pause_counts_by_its_quietest_slice_and_a_run_by_its_busiest_pause),
        cmocka_unit_test(test_descriptors_beyond_ours_are_those_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
