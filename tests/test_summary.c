// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary.h"

#include "base/clock.h"
#include "loadgen/kernel_growth.h"
#include "loadgen/scenarios/pools_file.h"
#include "tests/temp_dir.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/written_payload.h"

static double value_of(const struct summary *summary, const char *name)
{
    for (int i = 0; i < summary->count; i++)
        if (strcmp(summary->rows[i].name, name) == 0)
            return summary->rows[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

static struct sample sample_of(int64_t connections, int64_t bytes)
{
    return (struct sample){.connections = connections,
                           .target_rss_bytes = bytes,
                           .target_pss_bytes = bytes,
                           .target_private_bytes = bytes,
                           .target_cpu_ns = connections * 5000,
                           .generator_pss_bytes = 1000000 + connections * 50,
                           .generator_cpu_ns = 0,
                           .kernel_slab_bytes = connections * 7000,
                           .kernel_tcp_bytes = connections * 1000,
                           .kernel_page_table_bytes = 0};
}

static void test_the_slope_is_taken_from_a_tenth_to_all(void **state)
{
    (void)state;
    struct summary summary = {0};
    struct run run = {0};
    struct sample start = sample_of(0, 1000000);
    struct sample tenth = sample_of(100, 3000000); // the first connections cost more
    struct sample full = sample_of(1000, 3000000 + 900 * 700);
    summary_add_memory(&summary, &run, &start, &tenth, &full);
    assert_true(value_of(&summary, "memory.per_connection_bytes") == 700);
    assert_true(value_of(&summary, "memory.start_bytes") == 1000000);
    assert_true(value_of(&summary, "memory.full_bytes") == 3630000);
    assert_true(value_of(&summary, "kernel.per_connection_bytes") == 8000);
    assert_true(value_of(&summary, "cpu.per_connection_ns") == 5000);
    assert_true(value_of(&summary, "generator.per_client_bytes") == 1050); // all it has, for each
}

static void test_memory_that_did_not_grow_has_no_slope(void **state)
{
    (void)state;
    struct config config = {.quiet = true};
    struct run run = {.config = &config};
    struct sample start = sample_of(0, 9000000), low = sample_of(1000, 9000000);
    struct sample full = sample_of(10000, 9000000 + 9000 * 9); // a target that has served before
    struct summary reused = {0};
    summary_add_memory(&reused, &run, &start, &low, &full);
    assert_true(isnan(value_of(&reused, "memory.per_connection_bytes")));
    assert_true(isnan(value_of(&reused, "memory.per_connection_rss_bytes")));
    struct summary shrunk = {0};
    full.target_pss_bytes = 8000000;
    full.kernel_slab_bytes = 10000 * 900; // less than sockets take
    full.kernel_tcp_bytes = 0;
    summary_add_memory(&shrunk, &run, &start, &low, &full);
    assert_true(isnan(value_of(&shrunk, "memory.per_connection_bytes")));
    assert_true(isnan(value_of(&shrunk, "kernel.per_connection_bytes")));
    struct summary grown = {0};
    full = sample_of(10000, 9000000 + 9000 * 155);
    summary_add_memory(&grown, &run, &start, &low, &full);
    assert_true(value_of(&grown, "memory.per_connection_bytes") == 155);
    assert_int_equal(grown.reading_count, 3);
}

static double kernel_of(struct sample start, struct sample low, struct sample full)
{
    struct config config = {.quiet = true};
    struct run run = {.config = &config};
    struct summary summary = {0};
    summary_add_memory(&summary, &run, &start, &low, &full);
    return value_of(&summary, "kernel.per_connection_bytes");
}

static void test_kernel_memory_of_others_gives_no_figure(void **state)
{
    (void)state;
    struct sample start = sample_of(0, 0), low = sample_of(1000, 3000000), full = sample_of(10000, 30000000);
    start.kernel_sockets = 500;
    full.kernel_sockets = start.kernel_sockets + 2 * 10000;
    full.kernel_socket_bytes = 10000 * 7600;
    assert_true(kernel_of(start, low, full) == 8000);
    full.kernel_sockets += 5000; // of another program
    assert_true(isnan(kernel_of(start, low, full)));
    full.kernel_sockets -= 5000;
    full.kernel_slab_bytes += 30000000; // 3000 a connection
    assert_true(isnan(kernel_of(start, low, full)));
    full.kernel_slab_bytes -= 60000000; // freed meanwhile
    assert_true(isnan(kernel_of(start, low, full)));
    // Where the caches cannot be read, the first connections are compared with the others.
    full = sample_of(10000, 30000000);
    start.kernel_sockets = full.kernel_sockets = -1;
    assert_true(kernel_of(start, low, full) == 8000);
    full.kernel_slab_bytes += 60000000;
    assert_true(isnan(kernel_of(start, low, full)));
}

// Of a target on another host there is one end, and the figure was half of what its name says.
static void test_kernel_memory_of_one_end_is_no_figure(void **state)
{
    (void)state;
    struct sample start = sample_of(0, 0), low = sample_of(1000, 3000000), full = sample_of(10000, 30000000);
    start.kernel_sockets = 500;
    full.kernel_sockets = start.kernel_sockets + 10000;
    full.kernel_socket_bytes = 10000 * 7600;
    assert_true(isnan(kernel_of(start, low, full)));
    start.kernel_sockets = full.kernel_sockets = -1; // not known: the address tells
    struct config config = {.quiet = true};
    struct plan_target target = {.address_bytes = sizeof(struct sockaddr_in)};
    struct sockaddr_in *address = (struct sockaddr_in *)&target.address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct run run = {.config = &config, .plan = {.target_count = 1, .targets = &target}};
    assert_true(kernel_growth(&run, &start, &low, &full) == 8000);
    address->sin_addr.s_addr = htonl(0xC0000201); // 192.0.2.1, of documents
    assert_true(isnan(kernel_growth(&run, &start, &low, &full)));
    config.watch.count = 1; // a container's address, and its process is here
    assert_true(kernel_growth(&run, &start, &low, &full) == 8000);
}

// What run.json says when memory went that way; to be freed.
static char *record_of(const struct sample *start, const struct sample *low, const struct sample *full)
{
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    char argument[] = "poolmark-loadgen";
    char *argv[] = {argument, NULL};
    struct record *record;
    struct err err = {0};
    if (record_open(&record, temp_dir_file(dir, "run", file), "load", 1, argv, &err) < 0)
        fail_msg("%s", err.text);
    struct config config = {.quiet = true};
    struct run run = {.config = &config, .record = record};
    struct summary summary = {0};
    summary_add_memory(&summary, &run, start, low, full);
    assert_int_equal(record_close(record, "complete", &err), 0);
    char *text = temp_file_read(temp_dir_file(dir, "run/run.json", file));
    assert_non_null(text);
    temp_dir_remove(dir);
    return text;
}

static void test_why_memory_did_not_grow_is_said_by_case(void **state)
{
    (void)state;
    static const struct {
        int64_t connections, grew_bytes;
        const char *said, *not_said;
    } cases[] = {{100, 50000, "take more", "restart"}, // a fresh target, and too little to be seen
                 {100, -300000, "take more", "restart"},
                 {10000, 90000, "has served before", "take more"},
                 {10000, -9000000, "gave memory back", "restart"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sample start = sample_of(0, 20000000), low = sample_of(cases[i].connections / 10, 20000000);
        struct sample full = sample_of(cases[i].connections, 20000000 + cases[i].grew_bytes);
        char *text = record_of(&start, &low, &full);
        assert_non_null(strstr(text, "\"resolution\""));
        assert_non_null(strstr(text, cases[i].said));
        assert_null(strstr(text, cases[i].not_said));
        free(text);
    }
}

static void test_memory_that_is_shared_is_not_passed_over(void **state)
{
    (void)state;
    struct sample start = sample_of(0, 20000000), full = sample_of(1000, 30000000);
    char *text = record_of(&start, &start, &full);
    assert_null(strstr(text, "\"shared\""));
    free(text);
    start.target_shared_bytes = 1000000;
    full.target_shared_bytes = 9000000;
    text = record_of(&start, &start, &full);
    assert_non_null(strstr(text,
                           "the target has 9000000 bytes of shared memory (shm, MAP_SHARED), 1000000 at the "
                           "start: 8000.0 a connection"));
    free(text);
}

static void test_memory_that_is_swapped_out_or_merged_is_told(void **state)
{
    (void)state;
    struct sample start = sample_of(0, 20000000), full = sample_of(1000, 30000000);
    char *text = record_of(&start, &start, &full);
    assert_null(strstr(text, "\"swapped\""));
    assert_null(strstr(text, "\"merged\""));
    free(text);
    full.target_rss_bytes = full.target_pss_bytes = 18000000; // the kernel took the rest
    full.target_swap_bytes = 12000000;
    full.target_merged_bytes = 4096;
    text = record_of(&start, &start, &full);
    assert_non_null(strstr(text, "\"swapped\""));
    assert_non_null(strstr(text, "up to 12000000 bytes were swapped out (0 at the start, 12000000 with all"));
    assert_non_null(strstr(text, "4096 bytes of the target's memory are merged"));
    assert_null(strstr(text, "gave memory back"));
    free(text);
}

static void test_resident_memory_of_a_target_in_swap_gives_no_figure(void **state)
{
    (void)state;
    struct summary summary = {0};
    struct run run = {0};
    struct config config = {.quiet = true};
    run.config = &config;
    struct sample start = sample_of(0, 20000000), full = sample_of(1000, 30000000);
    start.target_private_bytes = full.target_private_bytes = -1;
    full.target_swap_bytes = 12000000;
    summary_add_memory(&summary, &run, &start, &start, &full);
    summary_withhold(&summary, &run);
    assert_true(isnan(value_of(&summary, "memory.per_connection_bytes")));
    assert_true(value_of(&summary, "memory.full_bytes") == 30000000);
}

// Workers that nobody watches serve the connections; kernels that do not count descriptors show nothing else.
static void test_a_target_that_did_not_work_was_not_watched(void **state)
{
    (void)state;
    for (int64_t cpu_ns = 0; cpu_ns <= 1; cpu_ns++) {
        struct summary summary = {0};
        struct run run = {0};
        struct config config = {.quiet = true, .watch.count = 1};
        config.watch_pids[0] = getpid();
        run.config = &config;
        struct sample start = sample_of(0, 20000000), full = sample_of(1000, 30000000);
        start.target_cpu_ns = 7000;
        full.target_cpu_ns = start.target_cpu_ns + cpu_ns;
        summary_add_memory(&summary, &run, &start, &start, &full);
        summary_withhold(&summary, &run);
        assert_true(run.owners.wrong == (cpu_ns == 0));
        assert_true(isnan(value_of(&summary, "memory.full_bytes")) == (cpu_ns == 0));
        assert_true(isnan(value_of(&summary, "cpu.per_connection_ns")) == (cpu_ns == 0));
    }
}

static void test_what_was_not_read_is_not_a_number(void **state)
{
    (void)state;
    struct summary summary = {0};
    struct run run = {0};
    struct sample start = sample_of(0, 1000000), full = sample_of(1000, 2000000);
    start.target_cpu_ns = -1;
    summary_add_memory(&summary, &run, &start, NULL, &full);
    assert_true(isnan(value_of(&summary, "cpu.per_connection_ns")));
}

static void test_the_record_gets_metrics_reasons_and_anomalies(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    char argument[] = "poolmark-loadgen";
    char *argv[] = {argument, NULL};
    struct record *record;
    struct err err = {0};
    struct config config = {.connections = 10};
    if (record_open(&record, temp_dir_file(dir, "run", file), "load", 1, argv, &err) < 0)
        fail_msg("%s", err.text);
    struct run run = {
        .config = &config, .record = record, .interrupted = true, .broken = "interrupted by SIGINT"};
    void *memory = aligned_alloc(64, LATENCY_COUNT * hist_bytes());
    assert_non_null(memory);
    memset(memory, 0, LATENCY_COUNT * hist_bytes());
    for (int i = 0; i < LATENCY_COUNT; i++)
        run.total[i] = hist_init((char *)memory + (size_t)i * hist_bytes());
    hist_add(run.total[LATENCY_LAG], 5 * NS_PER_MS);
    run.tally.count[TALLY_CONNECTED] = 6;
    run.tally.failed[REASON_REFUSED_UNAVAILABLE] = 3;
    run.tally.dropped[REASON_RESET] = 2;

    struct summary summary = {0};
    summary_add_clients(&summary, &run);
    summary_write(&summary, record);
    assert_int_equal(record_close(record, "incomplete", &err), 0);

    char *text = temp_file_read(temp_dir_file(dir, "run/run.json", file));
    assert_non_null(text);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    json_t *metrics = json_object_get(json, "metrics");
    json_t *failed = json_object_get(metrics, "clients.failed");
    assert_true(json_number_value(json_object_get(failed, "value")) == 4); // three refused, one not started
    json_t *reasons = json_object_get(json_object_get(json, "summary"), "failed");
    assert_int_equal(json_integer_value(json_object_get(reasons, "connack_3")), 3);
    assert_int_equal(json_integer_value(json_object_get(reasons, "not_started")), 1);
    assert_non_null(strstr(text, "fell behind its schedule"));
    assert_non_null(strstr(text, "interrupted by SIGINT"));
    assert_non_null(strstr(text, "connection reset"));
    json_decref(json);
    free(text);
    free(memory);
    temp_dir_remove(dir);
}

static void test_a_percentile_of_too_few_samples_is_not_known_because(void **state)
{
    (void)state;
    void *memory = aligned_alloc(64, hist_bytes());
    assert_non_null(memory);
    memset(memory, 0, hist_bytes());
    struct hist *hist = hist_init(memory);
    struct summary summary = {0};
    hist_add(hist, NS_PER_MS);
    summary_add_latency(&summary, "connect", hist, 0);
    assert_true(isnan(value_of(&summary, "connect.p50")));
    assert_true(isnan(value_of(&summary, "connect.p99")));
    assert_true(value_of(&summary, "connect.max") == (double)NS_PER_MS);
    assert_string_equal(summary.rows[0].why, "of 1 sample: it takes 2");
    assert_string_equal(summary.rows[2].why, "of 1 sample: it takes 1000");
    free(hist);
}

// A target that was held still for two hours had a maximum of one hour, and nothing was said.
static void test_a_time_beyond_the_histogram_is_not_known(void **state)
{
    (void)state;
    void *memory = aligned_alloc(64, hist_bytes());
    assert_non_null(memory);
    memset(memory, 0, hist_bytes());
    struct hist *hist = hist_init(memory);
    struct summary summary = {0};
    for (int i = 0; i < 999; i++)
        hist_add(hist, NS_PER_MS);
    hist_add(hist, HIST_HIGHEST_NS - 1); // the last that is known
    summary_add_latency(&summary, "arrival", hist, 0);
    assert_true(value_of(&summary, "arrival.max") == (double)(HIST_HIGHEST_NS - 1));
    assert_true(isfinite(value_of(&summary, "arrival.p99_9")) &&
                isfinite(value_of(&summary, "arrival.mean")));
    hist_add(hist, 2 * HIST_HIGHEST_NS);
    summary.count = 0;
    summary_add_latency(&summary, "arrival", hist, 0);
    assert_true(isnan(value_of(&summary, "arrival.max")) && isnan(value_of(&summary, "arrival.mean")));
    assert_true(isfinite(value_of(&summary, "arrival.p99")));
    assert_true(value_of(&summary, "arrival.count") == 1001);
    assert_string_equal(summary.rows[3].why, "an hour or more, where histograms end");
    for (int i = 0; i < 100; i++)
        hist_add(hist, 2 * HIST_HIGHEST_NS);
    summary.count = 0;
    summary_add_latency(&summary, "arrival", hist, 0);
    assert_true(isnan(value_of(&summary, "arrival.p99")) && isfinite(value_of(&summary, "arrival.p50")));
    free(memory);
}

static void test_every_reason_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < REASON_COUNT; i++) {
        assert_string_not_equal(tally_reason_name((enum tally_reason)i), "unknown");
        assert_string_not_equal(tally_reason_text((enum tally_reason)i), "unknown");
    }
    assert_int_equal(tally_reason_of_connack(3), REASON_REFUSED_UNAVAILABLE);
    assert_int_equal(tally_reason_of_connack(77), REASON_PROTOCOL);
}

static void test_a_payload_reads_as_it_was_written_and_nothing_else_does(void **state)
{
    (void)state;
    uint8_t bytes[10000];
    struct payload in = {.pair = 7,
                         .run = 0xfedcba,
                         .sequence = (1ULL << 40) - 1,
                         .intended_ns = 123456789012345,
                         .sent_ns = -1},
                   out;
    written_payload(bytes, sizeof bytes, &in);
    assert_int_equal(payload_read(bytes, sizeof bytes, &out), PAYLOAD_WHOLE);
    assert_int_equal(out.pair, in.pair);
    assert_int_equal(out.sequence, in.sequence);
    assert_int_equal(out.run, in.run);
    assert_int_equal(out.intended_ns, in.intended_ns);
    assert_int_equal(out.sent_ns, in.sent_ns);
    for (size_t shorter = 0; shorter < 100; shorter++)
        assert_int_equal(payload_read(bytes, shorter, &out), PAYLOAD_STRANGE);
    assert_int_equal(payload_read(bytes, sizeof bytes - 1, &out), PAYLOAD_STRANGE);
}

// Of a payload of each size: no byte can have another value than was written.
static void test_each_changed_byte_of_a_payload_is_noticed(void **state)
{
    (void)state;
    static const size_t sizes[] = {PAYLOAD_MIN_BYTES, 33, 64, 4096 + 40, 9000};
    static uint8_t bytes[9000];
    struct payload out;
    for (uint64_t message = 0; message < 20; message++) {
        size_t size = sizes[message % 5];
        struct payload in = {.pair = (uint32_t)message * 77,
                             .sequence = message * message * message,
                             .intended_ns = 1000000007LL * (int64_t)message,
                             .sent_ns = 1000000007LL * (int64_t)message + 100};
        written_payload(bytes, size, &in);
        for (size_t at = 0; at<size; at += at> 100 && at < size - 100 ? 13 : 1) {
            for (int change = 1; change < 256; change++) {
                bytes[at] ^= (uint8_t)change;
                assert_int_equal(payload_read(bytes, size, &out),
                                 at < PAYLOAD_MIN_BYTES ? PAYLOAD_STRANGE : PAYLOAD_CORRUPT);
                bytes[at] ^= (uint8_t)change;
            }
        }
        assert_int_equal(payload_read(bytes, size, &out), PAYLOAD_WHOLE);
    }
}

static void test_the_end_of_another_message_is_noticed(void **state)
{
    (void)state;
    uint8_t one[64], other[64];
    struct payload out;
    for (uint32_t i = 1; i < 64; i++) {
        written_payload(one, sizeof one, &(struct payload){.pair = 3, .sequence = 100});
        written_payload(other, sizeof other, &(struct payload){.pair = 3, .sequence = 100 + i});
        memcpy(one + 48, other + 48, 16);
        assert_int_equal(payload_read(one, sizeof one, &out), PAYLOAD_CORRUPT);
    }
}

static void test_parts_are_the_last_whole_lines_of_every_instance(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    FILE *csv = fopen(temp_dir_file(dir, "pools.csv", file), "w");
    assert_non_null(csv);
    fprintf(csv, "at_ns,pool,strategy,bytes_owned\n");
    for (int second = 1; second <= 500; second++)
        fprintf(csv, "%d,connections,slab,%d\n%d,buffers,slab,%d\n", second, second * 1000, second,
                second * 10);
    fprintf(csv, "501,connections,slab,99"); // cut off: the rest has not been written yet
    fclose(csv);
    struct pool_parts parts = POOL_PARTS_NONE;
    assert_int_equal(pools_file_add(&parts, dir), 0);
    assert_int_equal(pools_file_add(&parts, dir), 0); // a second instance
    assert_int_equal(parts.at_ns, 500);
    assert_int_equal(parts.bytes[PART_OBJECTS], 2 * 500000);
    assert_int_equal(parts.bytes[PART_BUFFERS], 2 * 5000);
    assert_int_equal(parts.bytes[PART_MESSAGES], -1);
    assert_true(pools_file_add(&parts, "/nowhere/at/all") < 0);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_slope_is_taken_from_a_tenth_to_all),
        cmocka_unit_test(test_memory_that_did_not_grow_has_no_slope),
        cmocka_unit_test(test_kernel_memory_of_others_gives_no_figure),
        cmocka_unit_test(test_kernel_memory_of_one_end_is_no_figure),
        cmocka_unit_test(test_why_memory_did_not_grow_is_said_by_case),
        cmocka_unit_test(test_memory_that_is_shared_is_not_passed_over),
        cmocka_unit_test(test_memory_that_is_swapped_out_or_merged_is_told),
        cmocka_unit_test(test_a_target_that_did_not_work_was_not_watched),
        cmocka_unit_test(test_resident_memory_of_a_target_in_swap_gives_no_figure),
        cmocka_unit_test(test_what_was_not_read_is_not_a_number),
        cmocka_unit_test(test_the_record_gets_metrics_reasons_and_anomalies),
        cmocka_unit_test(test_a_percentile_of_too_few_samples_is_not_known_because),
        cmocka_unit_test(test_a_time_beyond_the_histogram_is_not_known),
        cmocka_unit_test(test_every_reason_has_a_name_and_a_text),
        cmocka_unit_test(test_a_payload_reads_as_it_was_written_and_nothing_else_does),
        cmocka_unit_test(test_each_changed_byte_of_a_payload_is_noticed),
        cmocka_unit_test(test_the_end_of_another_message_is_noticed),
        cmocka_unit_test(test_parts_are_the_last_whole_lines_of_every_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
