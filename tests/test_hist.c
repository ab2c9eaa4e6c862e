// SPDX-License-Identifier: Apache-2.0
#include "base/hist.h"
#include "base/clock.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <hdr_histogram.h>
#include <hdr_histogram_log.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t HOUR_NS = 3600 * NS_PER_S;

static struct hist *make(void)
{
    void *memory = aligned_alloc(64, hist_bytes());
    assert_non_null(memory);
    memset(memory, 0, hist_bytes());
    return hist_init(memory);
}

// Three significant digits: within a thousandth.
static void about(int64_t value, int64_t expected)
{
    if (llabs(value - expected) > expected / 1000) {
        fail_msg("%lld is not about %lld", (long long)value, (long long)expected);
    }
}

static void size_is_a_multiple_of_a_cache_line(void **state)
{
    (void)state;
    assert_int_equal(hist_bytes() % 64, 0);
    assert_in_range(hist_bytes(), 64, 1 << 20);
}

static void an_empty_one_answers_zero(void **state)
{
    (void)state;
    struct hist *hist = make();
    assert_int_equal(hist_count(hist), 0);
    assert_int_equal(hist_clipped(hist), 0);
    assert_int_equal(hist_min(hist), 0);
    assert_int_equal(hist_max(hist), 0);
    assert_true(hist_mean(hist) == 0);
    assert_true(hist_stddev(hist) == 0);
    assert_int_equal(hist_percentile(hist, 50), 0);
    assert_int_equal(hist_percentile(hist, 100), 0);
    free(hist);
}

static void one_value_is_every_percentile(void **state)
{
    (void)state;
    struct hist *hist = make();
    hist_add(hist, 1234567);
    assert_int_equal(hist_count(hist), 1);
    assert_int_equal(hist_min(hist), 1234567);
    assert_int_equal(hist_max(hist), 1234567);
    static const double percents[] = {0, 1, 50, 99.999, 100};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        assert_int_equal(hist_percentile(hist, percents[i]), 1234567);
    }
    about((int64_t)hist_mean(hist), 1234567);
    free(hist);
}

static void percentiles_of_a_ramp_have_three_digits(void **state)
{
    (void)state;
    struct hist *hist = make();
    for (int64_t i = 1; i <= 100000; i++) {
        hist_add(hist, i * NS_PER_US);
    }
    assert_int_equal(hist_count(hist), 100000);
    about(hist_percentile(hist, 1), 1000 * NS_PER_US);
    about(hist_percentile(hist, 50), 50000 * NS_PER_US);
    about(hist_percentile(hist, 99), 99000 * NS_PER_US);
    about(hist_percentile(hist, 99.9), 99900 * NS_PER_US);
    assert_int_equal(hist_percentile(hist, 100), 100000 * NS_PER_US);
    assert_int_equal(hist_percentile(hist, 0), 1 * NS_PER_US);
    about((int64_t)hist_mean(hist), 50000 * NS_PER_US + 500);
    about((int64_t)hist_stddev(hist), (int64_t)(1e8 / sqrt(12)));
    free(hist);
}

static void small_values_are_kept_to_the_nanosecond(void **state)
{
    (void)state;
    struct hist *hist = make();
    for (int64_t ns = 0; ns < 2048; ns += 23) {
        hist_reset(hist);
        hist_add(hist, ns);
        hist_add(hist, HOUR_NS); // so that the exact ends do not hide the buckets
        assert_int_equal(hist_min(hist), ns);
        assert_int_equal(hist_percentile(hist, 50), ns);
    }
    free(hist);
}

static void every_magnitude_has_three_digits(void **state)
{
    (void)state;
    struct hist *hist = make();
    for (int64_t ns = 1000; ns < HOUR_NS / 2; ns += ns / 7) {
        hist_reset(hist);
        hist_add(hist, ns);
        hist_add(hist, HOUR_NS);
        about(hist_percentile(hist, 50), ns);
    }
    free(hist);
}

static void what_is_out_of_range_is_counted_at_the_end_and_as_clipped(void **state)
{
    (void)state;
    struct hist *hist = make();
    hist_add(hist, HOUR_NS);
    assert_int_equal(hist_clipped(hist), 0);
    hist_add(hist, HOUR_NS + 1);
    hist_add(hist, INT64_MAX);
    hist_add(hist, -1);
    hist_add(hist, INT64_MIN);
    assert_int_equal(hist_count(hist), 5);
    assert_int_equal(hist_clipped(hist), 4);
    assert_int_equal(hist_max(hist), HOUR_NS);
    assert_int_equal(hist_min(hist), 0);
    assert_int_equal(hist_percentile(hist, 40), 0);
    assert_int_equal(hist_percentile(hist, 100), HOUR_NS);
    free(hist);
}

static void merging_gives_what_adding_all_to_one_gives(void **state)
{
    (void)state;
    struct hist *all = make(), *odd = make(), *even = make(), *empty = make(), *merged = make();
    uint64_t random = 42;
    for (int i = 0; i < 20000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int64_t ns = (int64_t)(random >> 33) << (random % 11);
        hist_add(all, ns);
        hist_add(i % 2 ? odd : even, ns);
    }
    hist_merge(merged, even);
    hist_merge(merged, empty);
    hist_merge(merged, odd);
    assert_memory_equal(merged, all, hist_bytes());
    free(merged);
    free(empty);
    free(even);
    free(odd);
    free(all);
}

static void reset_leaves_an_empty_one(void **state)
{
    (void)state;
    struct hist *hist = make(), *fresh = make();
    hist_add(hist, 0);
    hist_add(hist, 12345);
    hist_add(hist, 2 * HOUR_NS);
    hist_reset(hist);
    assert_memory_equal(hist, fresh, hist_bytes());
    free(fresh);
    free(hist);
}

static void it_works_wherever_it_is_mapped(void **state)
{
    (void)state;
    struct hist *hist = make();
    for (int64_t i = 1; i <= 1000; i++) {
        hist_add(hist, i * NS_PER_US);
    }
    struct hist *moved = aligned_alloc(64, hist_bytes());
    memcpy(moved, hist, hist_bytes());
    memset(hist, 0xff, hist_bytes());
    free(hist);
    hist_add(moved, NS_PER_S);
    assert_int_equal(hist_count(moved), 1001);
    about(hist_percentile(moved, 50), 501 * NS_PER_US);
    assert_int_equal(hist_max(moved), NS_PER_S);
    free(moved);
}

static void another_process_sees_what_was_added(void **state)
{
    (void)state;
    void *memory = mmap(NULL, hist_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    struct hist *hist = hist_init(memory);
    pid_t child = fork();
    if (child == 0) {
        for (int64_t i = 1; i <= 5000; i++) {
            hist_add(hist, i * NS_PER_MS);
        }
        _exit(0);
    }
    struct hist *own = make();
    // A reader may look at any time.
    int64_t before = 0, count;
    int status;
    do {
        count = hist_count(hist);
        assert_in_range(count, before, 5000);
        before = count;
        hist_reset(own);
        hist_merge(own, hist);
        assert_true(hist_count(own) >= count);
        assert_true(hist_percentile(own, 100) <= 5000 * NS_PER_MS);
    } while (waitpid(child, &status, WNOHANG) == 0);
    assert_int_equal(status, 0);
    assert_int_equal(hist_count(hist), 5000);
    about(hist_percentile(hist, 50), 2500 * NS_PER_MS);
    free(own);
    munmap(memory, hist_bytes());
}

struct shared {
    struct hist *hist;
    atomic_bool stop;
};

static void *add_until_stopped(void *context)
{
    struct shared *shared = context;
    int64_t ns = 1;
    // Relaxed: the flag only has to arrive some time.
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        hist_add(shared->hist, ns);
        ns = ns * 3 % 1000000007;
    }
    return NULL;
}

static void merging_while_another_thread_adds_loses_nothing_in_the_end(void **state)
{
    (void)state;
    struct shared shared = {.hist = make()};
    struct hist *copy = make();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, add_until_stopped, &shared), 0);
    for (int64_t before = 0; before < 10000; before = hist_count(copy)) {
        int64_t count = hist_count(shared.hist);
        hist_reset(copy);
        hist_merge(copy, shared.hist);
        assert_true(hist_count(copy) >= count && hist_count(copy) >= before);
        (void)hist_percentile(copy, 99);
    }
    atomic_store_explicit(&shared.stop, true, memory_order_relaxed);
    pthread_join(thread, NULL);
    hist_reset(copy);
    hist_merge(copy, shared.hist);
    assert_memory_equal(copy, shared.hist, hist_bytes());
    free(copy);
    free(shared.hist);
}

static const int64_t START_WALL_NS = INT64_C(1795260186123000000);

static void the_log_is_read_by_the_reference_reader(void **state)
{
    struct temp_place *place = *state;
    struct hist *connect = make(), *ack = make();
    for (int64_t i = 1; i <= 1000; i++) {
        hist_add(connect, i * NS_PER_US);
    }
    hist_add(ack, 1500);
    struct hist_log *log;
    struct err err = {{0}};
    assert_int_equal(hist_log_open(&log, place->file, START_WALL_NS, &err), 0);
    assert_int_equal(hist_log_write(log, "connect", START_WALL_NS, START_WALL_NS + NS_PER_S, connect), 0);
    assert_int_equal(hist_log_write(log, "ack", START_WALL_NS + NS_PER_S, START_WALL_NS + 3 * NS_PER_S, ack),
                     0);
    assert_int_equal(hist_log_close(log, NULL), 0);

    FILE *file = fopen(place->file, "re");
    struct hdr_log_reader reader;
    hdr_log_reader_init(&reader);
    assert_int_equal(hdr_log_read_header(&reader, file), 0);
    assert_int_equal(reader.major_version, 1);
    assert_int_equal(reader.minor_version, 3);
    assert_int_equal(reader.start_timestamp.tv_sec, START_WALL_NS / NS_PER_S);
    char tag[32] = "";
    struct hdr_log_entry entry = {.tag = tag, .tag_len = sizeof tag};
    struct hdr_histogram *read = NULL;
    assert_int_equal(hdr_log_read_entry(&reader, file, &entry, &read), 0);
    assert_string_equal(tag, "connect");
    assert_int_equal(entry.start_timestamp.tv_sec, 0);
    assert_int_equal(entry.interval.tv_sec, 1);
    assert_int_equal(read->total_count, 1000);
    about(hdr_value_at_percentile(read, 50), 500 * NS_PER_US);
    about(hdr_max(read), NS_PER_MS);
    hdr_close(read);
    read = NULL;
    memset(tag, 0, sizeof tag);
    assert_int_equal(hdr_log_read_entry(&reader, file, &entry, &read), 0);
    assert_string_equal(tag, "ack");
    assert_int_equal(entry.start_timestamp.tv_sec, 1);
    assert_int_equal(entry.interval.tv_sec, 2);
    assert_int_equal(hdr_value_at_percentile(read, 50), 1500);
    hdr_close(read);
    read = NULL;
    assert_int_equal(hdr_log_read_entry(&reader, file, &entry, &read), EOF);
    fclose(file);
    free(ack);
    free(connect);
}

static void the_log_is_flushed_line_by_line_with_the_header_of_version_1_3(void **state)
{
    struct temp_place *place = *state;
    struct hist *hist = make();
    hist_add(hist, 2000000);
    struct hist_log *log;
    assert_int_equal(hist_log_open(&log, place->file, START_WALL_NS, NULL), 0);
    static const char header[] = "#[Poolmark latencies in nanoseconds]\n"
                                 "#[Histogram log format version 1.3]\n"
                                 "#[StartTime: 1795260186.123 (seconds since epoch), 2026-11-21T11:23:06Z]\n"
                                 "#[BaseTime: 1795260186.123 (seconds since epoch)]\n"
                                 "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
                                 "\"Interval_Compressed_Histogram\"\n";
    char *text = temp_file_read(place->file);
    assert_string_equal(text, header);
    free(text);
    assert_int_equal(
        hist_log_write(log, "delivery", START_WALL_NS + NS_PER_S / 2, START_WALL_NS + NS_PER_S, hist), 0);
    text = temp_file_read(place->file);
    static const char line[] = "Tag=delivery,0.500,0.500,2000000.0,HISTFAAA";
    assert_memory_equal(text + sizeof header - 1, line, sizeof line - 1);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    assert_int_equal(hist_log_close(log, NULL), 0);
    free(hist);
}

static void an_empty_histogram_can_be_logged(void **state)
{
    struct temp_place *place = *state;
    struct hist *hist = make();
    struct hist_log *log;
    assert_int_equal(hist_log_open(&log, place->file, START_WALL_NS, NULL), 0);
    // Times before the log's start, or in the wrong order, give no negative number.
    assert_int_equal(hist_log_write(log, "connect", START_WALL_NS - 5, START_WALL_NS - 10, hist), 0);
    assert_int_equal(hist_log_close(log, NULL), 0);
    char *text = temp_file_read(place->file);
    assert_non_null(strstr(text, "\nTag=connect,0.000,0.000,0.0,HIST"));
    free(text);
    free(hist);
}

static void a_log_that_cannot_be_written_says_why(void **state)
{
    struct temp_place *place = *state;
    char file[TEMP_PATH_SIZE];
    temp_dir_file(place->dir, "missing/latency.hlog", file);
    struct hist_log *log;
    struct err err = {{0}};
    assert_int_equal(hist_log_open(&log, file, START_WALL_NS, &err), -ENOENT);
    assert_non_null(strstr(err.text, file));
    assert_int_equal(hist_log_open(&log, "/dev/full", START_WALL_NS, &err), -ENOSPC);
    assert_int_equal(hist_log_close(NULL, NULL), 0);
}

// Of 99 samples the 99th percentile would be the longest by another name.
static void a_percentile_of_too_few_samples_is_not_known(void **state)
{
    (void)state;
    struct hist *hist = make();
    assert_int_equal(hist_percentile_takes(50), 2);
    assert_int_equal(hist_percentile_takes(99), 100);
    assert_int_equal(hist_percentile_takes(99.9), 1000);
    assert_int_equal(hist_percentile_takes(99.99), 10000);
    for (int i = 1; i <= 100; i++) {
        hist_add(hist, i);
        assert_int_equal(hist_percentile_known(hist, 50), i < 2 ? -1 : (i + 1) / 2);
        assert_int_equal(hist_percentile_known(hist, 99), i < 100 ? -1 : 99);
    }
    free(hist);
}

static void as_text_it_adds_what_merging_adds(void **state)
{
    (void)state;
    struct hist *from = make(), *merged = make(), *decoded = make();
    for (int64_t value = 3; value < 2 * HOUR_NS; value = value * 3 / 2 + 1)
        hist_add(from, value);
    hist_add(from, -5);
    hist_add(merged, 1234567);
    hist_add(decoded, 1234567);
    hist_merge(merged, from);
    char *text = hist_encode(from);
    assert_non_null(text);
    assert_int_equal(hist_merge_encoded(decoded, text), 0);
    assert_int_equal(hist_count(decoded), hist_count(merged));
    assert_int_equal(hist_clipped(decoded), hist_clipped(merged));
    assert_int_equal(hist_min(decoded), hist_min(merged));
    assert_int_equal(hist_max(decoded), hist_max(merged));
    assert_memory_equal(decoded, merged, hist_bytes());
    free(text);
    struct hist *empty = make();
    text = hist_encode(empty);
    assert_int_equal(hist_merge_encoded(decoded, text), 0);
    assert_memory_equal(decoded, merged, hist_bytes());
    free(text);
    free(empty);
    free(from);
    free(merged);
    free(decoded);
}

static void a_text_that_is_none_of_ours_adds_nothing(void **state)
{
    (void)state;
    struct hist *hist = make(), *empty = make();
    struct hist *full = make();
    for (int i = 0; i < 100; i++)
        hist_add(full, 1000 + i);
    char *text = hist_encode(full), bad[200];
    const char *counts = strrchr(text, ' ') + 1;
    static const char *const heads[] = {
        "99 1000 1099 0 ", "101 1000 1099 0 ",   "-1 1000 1099 0 ", "100 1099 1000 0 ",
        "100 -1 1099 0 ",  "100 1000 1099 101 ", "100 1000 1099 ",  ""};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char *whole = malloc(strlen(heads[i]) + strlen(counts) + 1);
        assert_non_null(whole);
        strcpy(whole, heads[i]);
        strcat(whole, counts);
        assert_int_equal(hist_merge_encoded(hist, whole), -EINVAL);
        free(whole);
    }
    strcpy(bad, "100 1000 1099 0 HISTnotbase64");
    assert_int_equal(hist_merge_encoded(hist, bad), -EINVAL);
    assert_memory_equal(hist, empty, hist_bytes());
    free(text);
    free(full);
    free(hist);
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_is_a_multiple_of_a_cache_line),
        cmocka_unit_test(an_empty_one_answers_zero),
        cmocka_unit_test(one_value_is_every_percentile),
        cmocka_unit_test(percentiles_of_a_ramp_have_three_digits),
        cmocka_unit_test(small_values_are_kept_to_the_nanosecond),
        cmocka_unit_test(every_magnitude_has_three_digits),
        cmocka_unit_test(what_is_out_of_range_is_counted_at_the_end_and_as_clipped),
        cmocka_unit_test(merging_gives_what_adding_all_to_one_gives),
        cmocka_unit_test(as_text_it_adds_what_merging_adds),
        cmocka_unit_test(a_text_that_is_none_of_ours_adds_nothing),
        cmocka_unit_test(reset_leaves_an_empty_one),
        cmocka_unit_test(it_works_wherever_it_is_mapped),
        cmocka_unit_test(another_process_sees_what_was_added),
        cmocka_unit_test(merging_while_another_thread_adds_loses_nothing_in_the_end),
        cmocka_unit_test_setup_teardown(the_log_is_read_by_the_reference_reader, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(the_log_is_flushed_line_by_line_with_the_header_of_version_1_3,
                                        temp_place_set_up, temp_place_tear_down),
        cmocka_unit_test_setup_teardown(an_empty_histogram_can_be_logged, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_written_says_why, temp_place_set_up,
                                        temp_place_tear_down),
        cmocka_unit_test(a_percentile_of_too_few_samples_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
