// SPDX-License-Identifier: Apache-2.0
#include "loadgen/live_page.h"

#include "base/build.h"
#include "base/http_page.h"
#include "loadgen/catalogue.h"
#include "loadgen/message_faults.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

struct live_page {
    struct http_page *served;
    const char *scenario, *engine;
    pthread_mutex_t lock; // guards `moment`
    struct moment moment;
};

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP poolmark_load_%s %s\n# TYPE poolmark_load_%s %s\n", name, help, name, type);
}

static void print_gauge(FILE *to, const char *name, const char *help, double value)
{
    head(to, name, "gauge", help);
    fprintf(to, "poolmark_load_%s %.9g\n", name, value);
}

static void print_clients(const struct moment *moment, FILE *to)
{
    const struct tally *tally = &moment->tally;
    print_gauge(to, "connections", "connections open now", (double)tally->count[TALLY_OPEN]);
    print_gauge(to, "connections_wanted", "connections wanted at this phase of the run",
                (double)moment->wanted);
    const struct {
        const char *name, *help;
        const int64_t *counts;
    } lists[] = {{"clients_failed_total", "clients that did not connect, by reason", tally->failed},
                 {"clients_dropped_total", "clients that lost their connection, by reason", tally->dropped},
                 {"arrivals_failed_total", "arrivals that were given up, by the reason of their last connect",
                  tally->away}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        head(to, lists[i].name, "counter", lists[i].help);
        for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++)
            fprintf(to, "poolmark_load_%s{reason=\"%s\"} %" PRId64 "\n", lists[i].name,
                    tally_reason_name((enum tally_reason)reason), lists[i].counts[reason]);
    }
}

static void print_counters(const struct moment *moment, FILE *to)
{
    static const struct {
        enum tally_count what;
        const char *name, *help;
    } counters[] = {
        {TALLY_STARTED, "connects_started_total", "connects begun"},
        {TALLY_CONNECTED, "connects_total", "connects that a CONNACK accepted"},
        {TALLY_ARRIVAL_DUE, "arrivals_due_total",
         "arrivals due: clients that come, or come back, by the schedule or after the loss of their "
         "connection"},
        {TALLY_ARRIVED, "arrivals_total", "arrivals that a CONNACK accepted"},
        {TALLY_ARRIVAL_NOT_SENT, "arrivals_not_sent_total",
         "arrivals that were due and not begun: the client's arrival before was under way"},
        {TALLY_ARRIVAL_RETRIES, "arrivals_retries_total", "connects of arrivals after one that failed"},
        {TALLY_ADD_DUE, "subscribes_due_total", "SUBSCRIBEs due by the schedule (scenario subscribe)"},
        {TALLY_ADDED, "subscribes_total", "of these, answered by SUBACK"},
        {TALLY_REMOVE_DUE, "unsubscribes_due_total", "UNSUBSCRIBEs due by the schedule (scenario subscribe)"},
        {TALLY_REMOVED, "unsubscribes_total", "of these, answered by UNSUBACK"},
        {TALLY_DUE, "messages_due_total", "messages due by the schedule"},
        {TALLY_PUBLISHED, "messages_sent_total", "messages sent"},
        {TALLY_DELIVERY_DUE, "deliveries_due_total",
         "deliveries of the messages sent, one for each subscriber"},
        {TALLY_RECEIVED, "messages_received_total", "deliveries that arrived as they were sent"},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        head(to, counters[i].name, "counter", counters[i].help);
        fprintf(to, "poolmark_load_%s %" PRId64 "\n", counters[i].name,
                moment->tally.count[counters[i].what]);
    }
    for (const struct message_fault *one = message_faults(); one->metric; one++) {
        char key[MESSAGE_FAULT_KEY_BYTES], name[MESSAGE_FAULT_KEY_BYTES + sizeof "_total"];
        snprintf(name, sizeof name, "%s_total", message_fault_key(one, key));
        head(to, name, "counter", metric_find(loadgen_catalogue, one->metric)->definition);
        fprintf(to, "poolmark_load_%s %" PRId64 "\n", name, message_fault_count(one, &moment->tally));
    }
    head(to, "cpu_seconds_total", "counter", "CPU time of the generator's workers");
    fprintf(to, "poolmark_load_cpu_seconds_total %.9g\n", (double)moment->tally.count[TALLY_CPU_NS] / 1e9);
}

static void print_asked(const struct moment *moment, FILE *to)
{
    bool headed = false;
    for (int kind = 0; kind < ASKED_KINDS; kind++) {
        if (!(moment->rates[kind].asked_per_s > 0))
            continue;
        if (!headed)
            head(to, "asked_per_second", "gauge",
                 "what schedules had due in the last second; absent: nothing, or it goes as fast as it can");
        headed = true;
        fprintf(to, "poolmark_load_asked_per_second{of=\"%s\"} %.9g\n", moment_kinds[kind].name,
                moment->rates[kind].asked_per_s);
    }
}

static void print_had(const struct moment *moment, FILE *to)
{
    bool headed = false;
    for (int kind = 0; kind < ASKED_KINDS; kind++) {
        const struct moment_rate *rate = &moment->rates[kind];
        if (!rate->under_way && !(rate->had_per_s > 0))
            continue;
        if (!headed)
            head(to, "had_per_second", "gauge", "what was done in the last second, of what was under way");
        headed = true;
        fprintf(to, "poolmark_load_had_per_second{of=\"%s\"} %.9g\n", moment_kinds[kind].name,
                rate->had_per_s);
    }
}

static void print_latencies(const struct moment *moment, FILE *to)
{
    head(to, "latency_seconds", "summary",
         "latencies from the intended times; quantiles of the last second, where it has enough samples");
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        const struct moment_latency *latency = &moment->latency[kind];
        const char *name = latency_name((enum latency_kind)kind);
        if (latency->p50_ns >= 0 && latency->count > 0)
            fprintf(to, "poolmark_load_latency_seconds{kind=\"%s\",quantile=\"0.5\"} %.9g\n", name,
                    (double)latency->p50_ns / 1e9);
        if (latency->p99_ns >= 0 && latency->count > 0)
            fprintf(to, "poolmark_load_latency_seconds{kind=\"%s\",quantile=\"0.99\"} %.9g\n", name,
                    (double)latency->p99_ns / 1e9);
        fprintf(to, "poolmark_load_latency_seconds_sum{kind=\"%s\"} %.9g\n", name, latency->total_ns / 1e9);
        fprintf(to, "poolmark_load_latency_seconds_count{kind=\"%s\"} %" PRId64 "\n", name,
                latency->total_count);
    }
    head(to, "latency_max_seconds", "gauge", "the longest of the last second");
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        if (moment->latency[kind].count > 0)
            fprintf(to, "poolmark_load_latency_max_seconds{kind=\"%s\"} %.9g\n",
                    latency_name((enum latency_kind)kind), (double)moment->latency[kind].max_ns / 1e9);
}

void live_page_print(const struct moment *moment, const char *scenario, const char *engine, FILE *to)
{
    head(to, "info", "gauge", "the run and the generator; always 1");
    fprintf(to, "poolmark_load_info{scenario=\"%s\",engine=\"%s\",version=\"%s\"} 1\n", scenario, engine,
            build_facts()->version);
    head(to, "phase", "gauge", "the phase of the run; always 1");
    fprintf(to, "poolmark_load_phase{phase=\"%s\"} 1\n", moment->phase);
    print_gauge(to, "elapsed_seconds", "since the start of the run", moment->elapsed_s);
    print_clients(moment, to);
    print_counters(moment, to);
    print_asked(moment, to);
    print_had(moment, to);
    print_latencies(moment, to);
    if (moment->target_rss_bytes >= 0)
        print_gauge(to, "target_resident_bytes", "resident memory of all watched processes",
                    (double)moment->target_rss_bytes);
}

static void print(void *context, FILE *to)
{
    struct live_page *page = context;
    pthread_mutex_lock(&page->lock);
    struct moment moment = page->moment;
    pthread_mutex_unlock(&page->lock);
    live_page_print(&moment, page->scenario, page->engine, to);
}

int live_page_open(struct live_page **opened, struct address *address, const char *scenario,
                   const char *engine, struct err *err)
{
    struct live_page *page = calloc(1, sizeof *page);
    if (!page)
        return err_set(err, -ENOMEM, "out of memory for the metrics page");
    page->scenario = scenario;
    page->engine = engine;
    page->moment = (struct moment){.phase = "start", .target_rss_bytes = -1};
    pthread_mutex_init(&page->lock, NULL);
    int code = http_page_open(&page->served, address, print, page, err);
    if (code < 0) {
        pthread_mutex_destroy(&page->lock);
        free(page);
        return code;
    }
    *opened = page;
    return 0;
}

void live_page_show(struct live_page *page, const struct moment *moment)
{
    if (!page)
        return;
    pthread_mutex_lock(&page->lock);
    page->moment = *moment;
    pthread_mutex_unlock(&page->lock);
}

void live_page_close(struct live_page *page)
{
    if (!page)
        return;
    http_page_close(page->served);
    pthread_mutex_destroy(&page->lock);
    free(page);
}
