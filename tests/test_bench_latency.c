// SPDX-License-Identifier: Apache-2.0
// Times of single calls in a benchmark's report: no percentile of too few, and no figure with a time that was cut.
#include "bench/latency.h"
#include "tests/gbench_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct calls {
    int64_t count, longest_ns; // all others take a microsecond
};

static void run(struct gb_state *state, void *context)
{
    const struct calls *calls = context;
    struct latency latency;
    latency_init(&latency, state, calls->count);
    while (latency.ns && gb_next_batch(state) > 0) {
        for (int64_t i = 0; i < calls->count; i++)
            latency_add(&latency, i == 0 ? calls->longest_ns : 1000);
        latency_report(&latency, state, "");
    }
    latency_free(&latency);
}

static json_t *report(const struct calls *calls, json_t **document)
{
    struct gb_spec spec = {.name = "calls", .run = run, .context = (void *)calls, .iterations = 1};
    struct gb_outcome outcome;
    return json_array_get(gbench_report(&spec, 1, NULL, &outcome, document), 0);
}

static void test_a_percentile_of_too_few_calls_is_not_there(void **state)
{
    (void)state;
    json_t *document, *one = report(&(struct calls){100, 9000}, &document);
    assert_true(json_is_number(json_object_get(one, "p99_ns")));
    assert_null(json_object_get(one, "p99_9_ns")); // of 100 calls it is the longest
    assert_null(json_object_get(one, "p99_999_ns"));
    assert_in_range((int64_t)json_number_value(json_object_get(one, "longest_ns")), 9000, 9010);
    json_decref(document);
}

static void test_a_call_that_took_longer_than_what_is_kept_gives_no_figure(void **state)
{
    (void)state;
    json_t *document, *one = report(&(struct calls){100, INT64_C(4294967295)}, &document);
    assert_false(json_is_true(json_object_get(one, "error_occurred")));
    json_decref(document);
    one = report(&(struct calls){100, INT64_C(10000000000)}, &document);
    assert_true(json_is_true(json_object_get(one, "error_occurred")));
    assert_non_null(
        strstr(json_string_value(json_object_get(one, "error_message")), "1 calls took more than 4.29 s"));
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_percentile_of_too_few_calls_is_not_there),
        cmocka_unit_test(test_a_call_that_took_longer_than_what_is_kept_gives_no_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
