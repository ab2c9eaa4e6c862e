// SPDX-License-Identifier: Apache-2.0
// What is shown of a moment of a run: the plain line and the frame of a terminal.
#include "loadgen/catalogue.h"
#include "loadgen/live_page.h"
#include "loadgen/message_faults.h"
#include "loadgen/moment.h"
#include "loadgen/progress.h"
#include "loadgen/run.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct moment publishing(void)
{
    struct moment moment = {.phase = "publish",
                            .elapsed_s = 12,
                            .wanted = 1000,
                            .rates[ASKED_MESSAGES] = {true, 2000, 1998},
                            .deliveries_per_s = 3996,
                            .target_rss_bytes = 5 << 20};
    moment.tally.count[TALLY_OPEN] = 997;
    moment.tally.count[TALLY_DUE] = 24000;
    moment.tally.count[TALLY_NOT_SENT] = 4;
    moment.tally.failed[REASON_TIMEOUT] = 1;
    moment.tally.dropped[REASON_RESET] = 2;
    moment.latency[LATENCY_DELIVERY] =
        (struct moment_latency){.count = 50, .p50_ns = 1500000, .p99_ns = -1, .max_ns = 2500000};
    return moment;
}

static void the_line_has_asked_and_had_percentiles_memory_and_errors(void **state)
{
    (void)state;
    struct moment moment = publishing();
    char line[512];
    progress_line(&moment, line, sizeof line);
    assert_string_equal(line,
                        "  12.0 s  publish  997 of 1000 connected, 1 failed, 2 dropped, 1998 messages/s "
                        "of 2000, 3996/s arrived, p50 1.50 ms, p99 -, target 5.00 MiB resident; timeout 1, "
                        "reset 2, not sent 4");
    moment = (struct moment){.phase = "connect", .wanted = 10, .top = 100};
    moment.rates[ASKED_CONNECTS].had_per_s = 7;
    moment.target_rss_bytes = -1;
    progress_line(&moment, line, sizeof line);
    assert_string_equal(line, "   0.0 s  connect  0 of 10 connected (step 10 of 100), 0 failed, 0 dropped, "
                              "7 connects/s, target -");
}

static void a_frame_is_cut_to_the_terminal_and_a_line_to_its_room(void **state)
{
    (void)state;
    struct moment moment = publishing();
    char lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1];
    int count = progress_frame(&moment, 30, lines);
    for (int i = 0; i < count; i++)
        assert_in_range(strlen(lines[i]), 1, 30);
    assert_string_equal(lines[1], "  clients      997 of 1000 con");
    count = progress_frame(&moment, 1000, lines);
    assert_string_equal(lines[count - 1], "  errors       timeout 1, reset 2, not sent 4");
    char line[20];
    progress_line(&moment, line, sizeof line);
    assert_string_equal(line, "  12.0 s  publish  ");
}

static void the_largest_frame_has_room(void **state)
{
    (void)state;
    struct moment moment = publishing();
    moment.top = 1000;
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        moment.latency[kind].count = 1;
    for (int i = 0; i < REASON_COUNT; i++)
        moment.tally.failed[i] = INT64_MAX / REASON_COUNT;
    char lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1];
    for (int kind = 0; kind < ASKED_KINDS; kind++)
        moment.rates[kind].under_way = true;
    assert_in_range(progress_frame(&moment, 1000, lines), 8, PROGRESS_LINES_MAX);
}

// Clients that come back while pairs publish, and a SUBSCRIBE: each with its rate, asked and had, and its latency.
static void every_kind_of_load_is_seen_while_it_goes_on(void **state)
{
    (void)state;
    struct moment moment = publishing();
    char line[512], lines[PROGRESS_LINES_MAX][PROGRESS_COLUMNS_MAX + 1], all[4096] = "";
    moment.phase = "soak";
    moment.rates[ASKED_ARRIVALS] = (struct moment_rate){true, 200, 195};
    moment.rates[ASKED_UNSUBSCRIBES] = (struct moment_rate){true, 0, 12};
    moment.tally.count[TALLY_ARRIVED] = 700;
    moment.tally.count[TALLY_ARRIVAL_RETRIES] = 9;
    moment.latency[LATENCY_ARRIVAL] =
        (struct moment_latency){.count = 195, .p50_ns = 300000, .p99_ns = 900000, .max_ns = 900000};
    moment.latency[LATENCY_UNSUBSCRIBE] =
        (struct moment_latency){.count = 12, .p50_ns = 200000, .p99_ns = -1, .max_ns = 250000};
    moment.tally.away[REASON_TCP_REFUSED] = 6;
    progress_line(&moment, line, sizeof line);
    assert_non_null(
        strstr(line, ", 195 arrivals/s of 200, p50 300 us, p99 900 us, 1998 messages/s of 2000, "));
    assert_non_null(strstr(line, ", 12 unsubscribes/s, p50 200 us, p99 -, target "));
    assert_non_null(strstr(line, "tcp_refused 6"));
    int count = progress_frame(&moment, 100, lines);
    for (int i = 0; i < count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s\n", lines[i]);
    assert_non_null(strstr(all, "\n  arrivals     195/s of 200, 700 arrived, 9 tried again\n"));
    assert_non_null(strstr(all, "\n  arrival      p50 300 us "));
    assert_non_null(strstr(all, "\n  unsubscribe  p50 200 us "));
    char *page = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&page, &bytes);
    assert_non_null(to);
    live_page_print(&moment, "soak", "raw", to);
    assert_int_equal(fclose(to), 0);
    assert_non_null(strstr(page, "\npoolmark_load_asked_per_second{of=\"arrivals\"} 200\n"));
    assert_non_null(strstr(page, "\npoolmark_load_asked_per_second{of=\"messages\"} 2000\n"));
    assert_null(strstr(page, "asked_per_second{of=\"unsubscribes\"}"));
    assert_non_null(strstr(page, "\npoolmark_load_had_per_second{of=\"arrivals\"} 195\n"));
    assert_non_null(strstr(page, "\npoolmark_load_had_per_second{of=\"unsubscribes\"} 12\n"));
    assert_non_null(strstr(page, "\npoolmark_load_arrivals_total 700\n"));
    assert_non_null(strstr(page, "\npoolmark_load_arrivals_failed_total{reason=\"tcp_refused\"} 6\n"));
    free(page);
}

// A run with two seconds, of which the second one is slow.
static void a_moment_has_the_rates_and_latencies_since_the_one_before(void **state)
{
    (void)state;
    struct sampler_config nothing = {0};
    struct err err = {0};
    // Ramps of two groups, in their first second: 250 and 500 acts.
    struct schedule_shape shape = {.kind = SCHEDULE_RAMP, .over_ns = 2 * NS_PER_S};
    struct fleet_order ramp = {.act = FLEET_CONNECT, .at_ns = NS_PER_S, .goal = 9000, .shape = shape};
    struct run run = {.phase = "connect", .wanted = 3000};
    ramp.rate_per_s = 1000;
    asked_begin(&run.asked, &ramp);
    ramp.rate_per_s = 2000;
    asked_begin(&run.asked, &ramp);
    void *memory = aligned_alloc(64, 2 * LATENCY_COUNT * hist_bytes());
    assert_non_null(memory);
    memset(memory, 0, 2 * LATENCY_COUNT * hist_bytes());
    for (size_t kind = 0; kind < LATENCY_COUNT; kind++) {
        run.second[kind] = hist_init((char *)memory + 2 * kind * hist_bytes());
        run.total[kind] = hist_init((char *)memory + (2 * kind + 1) * hist_bytes());
    }
    assert_int_equal(sampler_open(&run.sampler, &nothing, &err), 0);
    struct moment moment = {0};
    run.tally.count[TALLY_CONNECTED] = 1000;
    for (int i = 0; i < 1000; i++)
        hist_add(run.second[LATENCY_CONNECT], NS_PER_MS);
    moment_take(&moment, &run, NS_PER_S);
    assert_true(moment.rates[ASKED_CONNECTS].had_per_s == 1000 &&
                moment.latency[LATENCY_CONNECT].count == 1000);
    run.tally.count[TALLY_CONNECTED] = 1500;
    hist_add(run.second[LATENCY_CONNECT], 7 * NS_PER_MS);
    run.probe_tally.count[TALLY_PUBLISHED] = 40;
    run.probe_tally.count[TALLY_RECEIVED] = 80;
    moment_take(&moment, &run, 2 * NS_PER_S);
    assert_true(moment.rates[ASKED_CONNECTS].had_per_s == 500 &&
                moment.rates[ASKED_MESSAGES].had_per_s == 40 && moment.deliveries_per_s == 80 &&
                moment.rates[ASKED_CONNECTS].asked_per_s == 750);
    assert_int_equal(moment.latency[LATENCY_CONNECT].count, 1);
    assert_int_equal(moment.latency[LATENCY_CONNECT].p50_ns, -1);
    assert_int_equal(moment.latency[LATENCY_CONNECT].max_ns, 7 * NS_PER_MS);
    run.tally.count[TALLY_CONNECTED] = 10; // fewer than before: as after a worker's death
    moment_take(&moment, &run, 3 * NS_PER_S);
    assert_true(moment.rates[ASKED_CONNECTS].had_per_s == 0 && moment.latency[LATENCY_CONNECT].count == 0);
    assert_int_equal(sampler_close(run.sampler, NULL), 0);
    free(memory);
}

static const struct message_fault *fault_of(const char *metric)
{
    const struct message_fault *one = message_faults();
    while (one->metric && strcmp(one->metric, metric) != 0)
        one++;
    return one->metric ? one : NULL;
}

// What the catalogue calls a fault of messages is counted, and nothing else is.
static void every_fault_of_messages_is_counted(void **state)
{
    (void)state;
    int found = 0, rows = 0;
    for (const struct metric *metric = loadgen_catalogue; metric->name; metric++)
        if (metric->traits & METRIC_FAULT && strncmp(metric->name, "messages.", 9) == 0) {
            if (!fault_of(metric->name))
                fail_msg("%s is not among message_faults", metric->name);
            found++;
        }
    for (const struct message_fault *one = message_faults(); one->metric; one++)
        rows++;
    assert_int_equal(found, rows);
}

static void a_message_at_the_wrong_client_is_shown_while_the_run_goes_on(void **state)
{
    (void)state;
    struct moment moment = publishing();
    char line[512], *page = NULL;
    size_t bytes = 0;
    moment.tally.count[TALLY_MISDELIVERED] = 7;
    moment.tally.count[TALLY_FOREIGN] = 2;
    moment.tally.count[TALLY_STRANGE] = 3;
    progress_line(&moment, line, sizeof line);
    assert_non_null(strstr(line, "; timeout 1, reset 2, not sent 4, misdelivered 7, foreign 5"));
    FILE *to = open_memstream(&page, &bytes);
    assert_non_null(to);
    live_page_print(&moment, "publish", "raw", to);
    assert_int_equal(fclose(to), 0);
    assert_non_null(strstr(page, "\npoolmark_load_messages_misdelivered_total 7\n"));
    assert_non_null(strstr(page, "\npoolmark_load_messages_foreign_total 5\n"));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_has_asked_and_had_percentiles_memory_and_errors),
        cmocka_unit_test(a_frame_is_cut_to_the_terminal_and_a_line_to_its_room),
        cmocka_unit_test(the_largest_frame_has_room),
        cmocka_unit_test(every_kind_of_load_is_seen_while_it_goes_on),
        cmocka_unit_test(a_moment_has_the_rates_and_latencies_since_the_one_before),
        cmocka_unit_test(every_fault_of_messages_is_counted),
        cmocka_unit_test(a_message_at_the_wrong_client_is_shown_while_the_run_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
