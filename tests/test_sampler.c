// SPDX-License-Identifier: Apache-2.0
#include "loadgen/sampler.h"

#include "base/clock.h"
#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t ended_child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

static void wait_ready(struct sampler *sampler, uint64_t ticket, struct sample *sample)
{
    int64_t limit_ns = clock_now_ns() + 60 * NS_PER_S;
    while (!sampler_ready(sampler, ticket, sample)) {
        assert_true(clock_now_ns() < limit_ns);
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    }
}

static void test_a_full_sample_has_everything_and_a_quick_one_no_pss(void **state)
{
    (void)state;
    int64_t self = getpid();
    struct sample sample;
    sample_read(&sample, &self, 1, NULL, 0, true);
    assert_true(sample.target_pss_bytes > 0 && sample.target_private_bytes > 0);
    assert_true(sample.target_rss_bytes >= sample.target_private_bytes);
    assert_true(sample.generator_pss_bytes > 0);
    assert_true(sample.kernel_slab_bytes > 0 && sample.kernel_tcp_bytes >= 0 &&
                sample.kernel_page_table_bytes > 0);
    sample_read(&sample, &self, 1, NULL, 0, false);
    assert_true(sample.target_rss_bytes > 0);
    assert_int_equal(sample.target_pss_bytes, -1);
    assert_int_equal(sample.generator_pss_bytes, -1);
}

static void test_a_target_that_is_gone_is_noticed_and_its_share_is_no_sum(void **state)
{
    (void)state;
    int64_t pids[] = {getpid(), ended_child()};
    struct sample sample;
    sample_read(&sample, pids, 2, NULL, 0, false);
    assert_int_equal(sample.targets_gone, 1);
    assert_int_equal(sample.target_rss_bytes, -1); // of one of two it would be a figure of none
}

static void test_rows_carry_phase_and_connections_and_leave_the_unread_empty(void **state)
{
    struct temp_place *place = *state;
    struct sampler_config config = {.path = place->file};
    struct sampler *sampler;
    struct err err = {0};
    if (sampler_open(&sampler, &config, &err) < 0)
        fail_msg("%s", err.text);
    sampler_label(sampler, "hold", 123, 0);
    struct sample sample;
    wait_ready(sampler, sampler_request(sampler), &sample);
    assert_int_equal(sample.connections, 123);
    assert_int_equal(sample.target_rss_bytes, -1);
    assert_int_equal(sampler_close(sampler, NULL), 0);

    char *text = temp_file_read(place->file);
    assert_non_null(text);
    assert_int_equal(strncmp(text, SAMPLER_HEADER "\n", strlen(SAMPLER_HEADER) + 1), 0);
    assert_non_null(strstr(text, ",hold,123,,,,,")); // no target: four empty fields
    int commas = 0;
    for (const char *at = strrchr(text, ',') - 1; *at != '\n'; at--)
        commas += *at == ',';
    assert_int_equal(commas + 1, 13);
    free(text);
}

static void test_each_request_is_answered_by_a_reading_of_its_own(void **state)
{
    (void)state;
    int64_t self = getpid();
    struct sampler_config config = {.targets = &self, .target_count = 1};
    struct sampler *sampler;
    struct err err = {0};
    if (sampler_open(&sampler, &config, &err) < 0)
        fail_msg("%s", err.text);
    int64_t before_ns = 0;
    for (int i = 0; i < 3; i++) {
        struct sample sample;
        int64_t asked_ns = clock_now_ns();
        wait_ready(sampler, sampler_request(sampler), &sample);
        assert_true(sample.at_ns > before_ns && sample.at_ns >= asked_ns);
        assert_true(sample.target_pss_bytes > 0);
        before_ns = sample.at_ns;
    }
    assert_int_equal(sampler_close(sampler, NULL), 0);
}

static void test_the_readings_of_a_phase_are_kept(void **state)
{
    (void)state;
    int64_t self = getpid();
    struct sampler_config config = {.targets = &self, .target_count = 1};
    struct sampler *sampler;
    struct err err = {0};
    if (sampler_open(&sampler, &config, &err) < 0)
        fail_msg("%s", err.text);
    struct sample within, later;
    sampler_keep(sampler, "soak");
    sampler_label(sampler, "soak", 0, 0);
    wait_ready(sampler, sampler_request(sampler), &within);
    sampler_label(sampler, "after", 0, 0);
    wait_ready(sampler, sampler_request(sampler), &later);
    struct sampler_kept *kept;
    size_t count = sampler_take_kept(sampler, &kept);
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        found += kept[i].at_ns == within.at_ns && kept[i].private_bytes == within.target_private_bytes;
        assert_true(kept[i].at_ns != later.at_ns && kept[i].rss_bytes > 0);
    }
    assert_int_equal(found, 1);
    free(kept);
    assert_int_equal(sampler_take_kept(sampler, &kept), 0);
    assert_int_equal(sampler_close(sampler, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_sample_has_everything_and_a_quick_one_no_pss),
        cmocka_unit_test(test_a_target_that_is_gone_is_noticed_and_its_share_is_no_sum),
        cmocka_unit_test_setup_teardown(test_rows_carry_phase_and_connections_and_leave_the_unread_empty,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test(test_each_request_is_answered_by_a_reading_of_its_own),
        cmocka_unit_test(test_the_readings_of_a_phase_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
