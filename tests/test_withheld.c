// SPDX-License-Identifier: Apache-2.0
#include "loadgen/withheld.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_an_anomaly_withholds_what_its_row_says(void **state)
{
    (void)state;
    uint64_t others = withheld_bit("other_clients");
    assert_int_equal(withheld_bit("late"), 0);
    assert_string_equal(withheld_by(others | withheld_bit("target_busy"), "memory.after_bytes"),
                        "other_clients");
    assert_null(withheld_by(withheld_bit("target_busy"), "memory.after_bytes"));
    assert_null(withheld_by(others, "phase.day.cpu_seconds"));
}

static void test_every_rule_is_described(void **state)
{
    (void)state;
    json_t *json = withheld_describe();
    const char *anomaly;
    json_t *starts;
    int count = 0;
    json_object_foreach(json, anomaly, starts)
    {
        uint64_t bit = withheld_bit(anomaly);
        assert_true(bit != 0 && json_array_size(starts) > 0);
        assert_string_equal(withheld_by(bit, json_string_value(json_array_get(starts, 0))), anomaly);
        count++;
    }
    assert_in_range(count, 5, 64);
    assert_int_equal(withheld_bit("late"), 0);
    assert_null(withheld_by(0, "cpu.per_message_ns"));
    json_decref(json);
}

static void test_figures_of_one_part_are_withheld_by_the_runs_own_list(void **state)
{
    (void)state;
    static struct withheld_parts parts;
    parts.count = 0;
    assert_null(withheld_part_by(&parts, "phase.day.cpu_seconds"));
    withheld_add(&parts, "other_clients", "phase.%s.cpu_seconds", "day");
    withheld_add(&parts, "foreign", "%s.%s.delivery", "boards", "day");
    withheld_add(&parts, "other_clients", "memory.full_");
    assert_string_equal(withheld_part_by(&parts, "phase.day.cpu_seconds"), "other_clients");
    assert_string_equal(withheld_part_by(&parts, "boards.day.delivery.p99"), "foreign");
    assert_string_equal(withheld_part_by(&parts, "boards.day.delivery_uncorrected.max"), "foreign");
    assert_string_equal(withheld_part_by(&parts, "memory.full_rss_bytes"), "other_clients");
    // How many there were is known.
    assert_null(withheld_part_by(&parts, "boards.day.delivery.count"));
    assert_null(withheld_part_by(&parts, "boards.day.delivery.censored"));
    assert_null(withheld_part_by(&parts, "boards.day.deliveries.expected"));
    assert_null(withheld_part_by(&parts, "boards.night.delivery.p99"));
    assert_null(withheld_part_by(&parts, "phase.day.memory_bytes"));
    json_t *json = withheld_parts_json(&parts);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"foreign\":[\"boards.day.delivery\"],\"other_clients\":[\"phase.day.cpu_"
                              "seconds\",\"memory.full_\"]}");
    free(text);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_anomaly_withholds_what_its_row_says),
        cmocka_unit_test(test_every_rule_is_described),
        cmocka_unit_test(test_figures_of_one_part_are_withheld_by_the_runs_own_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
