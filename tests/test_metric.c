// SPDX-License-Identifier: Apache-2.0
#include "base/metric.h"

#include "bench/catalogue.h"
#include "broker/catalogue.h"
#include "loadgen/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct metric *const catalogues[] = {broker_catalogue, loadgen_catalogue, bench_catalogue};
enum { CATALOGUES = sizeof catalogues / sizeof catalogues[0] };

static void a_name_is_found_word_by_word(void **state)
{
    (void)state;
    assert_string_equal(metric_find(loadgen_catalogue, "connect.p99")->unit, "ns");
    assert_string_equal(metric_find(loadgen_catalogue, "step.1000.user_bytes")->name, "step.N.user_bytes");
    assert_string_equal(metric_find(loadgen_catalogue, "step.10.buffers.owned")->name, "step.N.POOL.owned");
    static const char *const strange[] = {
        "connect", "connect.",        "connect.p9",       "connect.p999",       "",
        ".",       "step.user_bytes", "step..user_bytes", "step.1k.user_bytes", "step.10.user_bytes.more"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        assert_null(metric_find(loadgen_catalogue, strange[i]));
}

// One name, one meaning: over all programs.
static void every_metric_is_there_once_and_is_described(void **state)
{
    (void)state;
    for (int i = 0; i < CATALOGUES; i++)
        for (const struct metric *metric = catalogues[i]; metric->name; metric++) {
            for (int other = 0; other < CATALOGUES; other++)
                for (const struct metric *row = catalogues[other]; row->name; row++)
                    assert_true(row == metric || strcmp(row->name, metric->name) != 0);
            assert_true(strcmp(metric->better, "lower") == 0 || strcmp(metric->better, "higher") == 0 ||
                        strcmp(metric->better, "none") == 0);
            assert_true(metric->definition && metric->definition[0] && metric->unit[0]);
            // What has no good side decides nothing.
            bool bad = (metric->traits & (METRIC_PRIMARY | METRIC_FAULT)) != 0;
            assert_true(!bad || strcmp(metric->better, "none") != 0);
            assert_true(!(metric->traits & METRIC_IF_ANY) || (metric->traits & METRIC_FAULT));
            // Records and their page say that of it, from the trait; the live page has it always, with 0.
            assert_null(strstr(metric->definition, "only there when"));
            // A count of what went wrong has a good side, and begins at 0.
            if (metric->traits & METRIC_FAULT)
                assert_true(strcmp(metric->unit, "1") == 0 && strcmp(metric->better, "lower") == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_word_by_word),
        cmocka_unit_test(every_metric_is_there_once_and_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
