// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_record.h"

#include "base/books.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/heap.h"
#include "base/procmem.h"
#include "base/record.h"
#include "broker/bounds.h"
#include "broker/catalogue.h"
#include "broker/statistics.h"
#include "pools/use/pool_report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct broker_record {
    const struct broker_config *config;
    struct record *record; // NULL: only the log
    struct csv *pools;
    pthread_mutex_t lock; // guards `events` and the order of lines in the log
    struct csv *events;
    struct csv *bytes;    // account.csv; the thread that supervises
    int bytes_failure;    // the first -errno with which the bytes could not be read; 0: none
    int64_t memory_bound; // set once, when it is about to serve; 0: not yet
};

static json_t *describe_pool(const struct pool_spec *spec)
{
    const struct pool_config *pool = &spec->config;
    const struct plugin *plugin = plugin_of(spec->strategy);
    json_t *told = json_pack(
        "{s:s, s:I, s:I, s:I, s:i, s:f, s:s, s:s, s:s, s:b}", "strategy", pool_strategy_name(spec->strategy),
        "object_bytes", (json_int_t)pool->object_bytes, "initial", (json_int_t)pool->initial, "max",
        (json_int_t)pool->max, "expand_at_percent", pool->expand_at_percent, "growth", pool->growth,
        "growth_rule", pool->growth_rule == POOL_RULE_ADAPTIVE ? "adaptive" : "factor", "expand",
        pool->growth_mode == POOL_GROW_INLINE ? "inline" : "background", "overflow",
        pool->overflow == POOL_OVERFLOW_HEAP ? "heap" : "refuse", "touch", pool->touch);
    if (plugin)
        json_object_set_new(told, "plugin", plugin_json(plugin));
    return told;
}

static json_t *texts_json(const struct opt_list *texts)
{
    json_t *list = json_array();
    for (int i = 0; i < texts->count; i++)
        json_array_append_new(list, json_string(texts->values[i]));
    return list;
}

static void describe_config(struct broker_record *record)
{
    const struct broker_config *config = record->config;
    char text[128];
    record_set(record->record, "config.threads", json_integer(config->threads));
    record_set(record->record, "config.shape", json_string(shape_format(&config->shape, text, sizeof text)));
    record_set(record->record, "config.max_connections", json_integer(config->max_connections));
    record_set(record->record, "config.memory_limit_bytes", json_integer(config->memory_limit_bytes));
    record_set(record->record, "config.max_packet_bytes", json_integer(config->max_packet_bytes));
    record_set(record->record, "config.max_queued_messages", json_integer(config->max_queued_messages));
    record_set(record->record, "config.max_queued_bytes", json_integer(config->max_queued_bytes));
    record_set(record->record, "config.max_inflight_messages", json_integer(config->max_inflight_messages));
    record_set(record->record, "config.max_topic_levels", json_integer(config->max_topic_levels));
    record_set(record->record, "config.session_expiry_ns", json_integer(config->session_expiry_ns));
    record_set(record->record, "config.max_connections_per_address",
               json_integer(config->max_connections_per_address));
    record_set(record->record, "config.max_filters", json_integer(config->max_filters));
    record_set(record->record, "config.message_size_limit_bytes", json_integer(config->message_size_limit));
    record_set(record->record, "config.retain_available", json_string(config->retain_available));
    record_set(record->record, "config.max_retained_messages", json_integer(config->max_retained_messages));
    record_set(record->record, "config.max_retained_bytes", json_integer(config->max_retained_bytes));
    record_set(record->record, "config.overflow", json_string(config->overflow));
    record_set(record->record, "config.allocator", json_string(heap_name()));
    record_set(record->record, "config.sweep_every_ns", json_integer(config->sweep_every_ns));
    if (config->relief.sources)
        record_set(record->record, "config.pressure", texts_json(&config->pressure_texts));
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        snprintf(text, sizeof text, "config.pools.%s", config->pools[i].config.name);
        record_set(record->record, text, describe_pool(&config->pools[i]));
    }
}

int broker_record_open(struct broker_record **opened, const char *dir, int argc, char **argv,
                       const struct broker_config *config, struct err *err)
{
    char path[4096];
    struct broker_record *record = calloc(1, sizeof *record);
    if (!record)
        return err_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&record->lock, NULL);
    record->config = config;
    int code = dir ? record_open(&record->record, dir, "broker", argc, argv, err) : 0;
    if (code < 0 || !dir)
        goto done;
    record_use(record->record, broker_catalogue, NULL);
    describe_config(record);
    code = csv_open(&record->pools, record_path(record->record, "pools.csv", path, sizeof path),
                    POOL_REPORT_HEADER, err);
    if (code == 0)
        code = csv_open(&record->events, record_path(record->record, "events.csv", path, sizeof path),
                        POOL_REPORT_EVENT_HEADER, err);
    if (code == 0)
        code = csv_open(&record->bytes, record_path(record->record, "account.csv", path, sizeof path),
                        BYTES_HEADER, err);
    if (code == 0)
        code = record_save(record->record, err);
done:
    if (code < 0) {
        broker_record_close(record, NULL, "failed", NULL);
        return dir ? err_prefix(err, code, "--record") : code;
    }
    *opened = record;
    return code;
}

void broker_record_on_event(void *context, const char *pool_name, const struct pool_event *event)
{
    char line[200];
    struct broker_record *record = context;
    pthread_mutex_lock(&record->lock);
    fprintf(stderr, "%s\n", pool_report_event_line(pool_name, event, line, sizeof line));
    if (record->events)
        pool_report_event_row(record->events, pool_name, event);
    pthread_mutex_unlock(&record->lock);
}

void broker_record_set_addresses(struct broker_record *record, const struct address *addresses, int count)
{
    if (!record->record)
        return;
    json_t *list = json_array();
    char text[ADDRESS_TEXT_BYTES];
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_string(address_format(&addresses[i], text)));
    record_set(record->record, "config.listen", list);
    (void)!record_save(record->record, NULL); // a generator that watches the record asks for them
}

void broker_record_warn_of_state(struct broker_record *record, const char *warning)
{
    if (record->record && warning)
        record_anomaly(record->record, "state", "--state: %s", warning);
    else if (warning)
        fprintf(stderr, "poolmark-broker: state: --state: %s\n", warning);
}

void broker_record_set_bound(struct broker_record *record, int64_t bytes)
{
    record->memory_bound = bytes;
}

bool broker_record_has_bytes(const struct broker_record *record)
{
    return record->bytes != NULL;
}

void broker_record_bytes(struct broker_record *record, const char *moment, const struct bytes *bytes)
{
    bytes_row(record->bytes, moment, bytes);
}

void broker_record_no_bytes(struct broker_record *record, int code)
{
    if (record->record && record->bytes_failure == 0)
        record_anomaly(record->record, "account", "the bytes by account could not be read: %s",
                       strerror(-code));
    record->bytes_failure = record->bytes_failure ? record->bytes_failure : code;
}

void broker_record_sample(struct broker_record *record, const struct pool_set *pools)
{
    if (record->pools)
        pool_set_report_rows(pools, record->pools, clock_now_ns());
}

static struct pool_stats sum_pools(const struct pool_stats pools[BROKER_POOL_COUNT])
{
    struct pool_stats sum = {0};
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        sum.unknown = sum.unknown || pools[i].unknown;
        sum.gets += pools[i].gets;
        sum.hits += pools[i].hits;
        sum.overflow += pools[i].overflow;
        sum.refused += pools[i].refused;
        sum.expansions += pools[i].expansions;
        if (pools[i].longest_expansion_ns > sum.longest_expansion_ns)
            sum.longest_expansion_ns = pools[i].longest_expansion_ns;
    }
    return sum;
}

// A metric that follows from the statistics of pools.
static void add_pool_metric(struct record *record, const struct pool_stats *stats, const char *name,
                            double value, const char *unit, const char *better)
{
    if (stats->unknown)
        record_metric_unknown(record, name, "a strategy keeps no statistics", unit, better);
    else
        record_metric(record, name, value, unit, better);
}

static void add_memory(struct record *record, int64_t bound, int64_t peak)
{
    int64_t highest = procmem_highest(getpid());
    record_metric(record, "broker.memory_peak_bytes", (double)peak, "B", "lower");
    if (highest < 0)
        record_metric_unknown(record, "broker.memory_highest_bytes", "/proc/self/status does not say", "B",
                              "lower");
    else
        record_metric(record, "broker.memory_highest_bytes", (double)highest, "B", "lower");
    if (bound == 0 || bound == BOUNDS_ANY)
        record_metric_unknown(record, "broker.memory_bound_bytes",
                              bound == 0 ? "it did not start" : "the options set no bound", "B", "none");
    else
        record_metric(record, "broker.memory_bound_bytes", (double)bound, "B", "none");
}

static void add_pressure(struct record *record, const struct pool_pressure_stats *stats)
{
    if (!stats->sources)
        return;
    record_metric(record, "pool.pressure_back_bytes", (double)stats->bytes_back, "B", "none");
    record_metric(record, "pool.pressure_trims", (double)stats->trims, "1", "none");
    record_metric(record, "pool.pressure_longest_ns", (double)stats->longest_ns, "ns", "lower");
}

static void add_metrics(struct record *record, const struct broker_statistics *statistics, int64_t bound)
{
    struct pool_stats pool = sum_pools(statistics->pools);
    const struct pool_stats *connections = &statistics->pools[POOL_CONNECTIONS];
    const struct broker_counts *counts = &statistics->counts;
    int64_t refused =
        counts->refused_limit + counts->refused_pool + counts->refused_memory + counts->refused_descriptors;
    int64_t closed = counts->protocol_errors + counts->closed_packet_size + counts->closed_topic_levels +
                     counts->closed_no_memory;
    double hits_percent = pool.gets > 0 ? 100.0 * (double)pool.hits / (double)pool.gets : NAN;
    add_pool_metric(record, &pool, "pool.hit_rate", hits_percent, "%", "higher");
    add_pool_metric(record, &pool, "pool.expansions", (double)pool.expansions, "1", "none");
    add_pool_metric(record, &pool, "pool.longest_expansion_ns", (double)pool.longest_expansion_ns, "ns",
                    "lower");
    add_pool_metric(record, &pool, "pool.overflow", (double)pool.overflow, "1", "none");
    add_pool_metric(record, &pool, "pool.refused", (double)pool.refused, "1", "none");
    add_pool_metric(record, connections, "broker.peak_connections", (double)connections->peak_in_use, "1",
                    "none");
    record_metric(record, "broker.connections_accepted", (double)counts->accepted, "1", "none");
    record_metric(record, "broker.connections_refused", (double)refused, "1", "none");
    record_metric(record, "broker.connections_closed_for_cause", (double)closed, "1", "none");
    add_pressure(record, &statistics->pressure);
    add_memory(record, bound, statistics->memory.peak);
    record_metric(record, "broker.memory_refused", (double)statistics->memory.refused, "1", "none");
    record_metric(record, "broker.longest_turn_ns", (double)statistics->longest_turn_ns, "ns", "lower");
    record_metric(record, "broker.long_turns", (double)counts->long_turns, "1", "lower");
    record_metric(record, "broker.turn_work", (double)statistics->most_work, "1", "none");
    record_metric(record, "broker.messages_received", (double)counts->messages_received, "1", "none");
    record_metric(record, "broker.messages_sent", (double)counts->messages_sent, "1", "none");
    record_metric(record, "broker.messages_dropped", (double)counts->messages_dropped, "1", "none");
}

// All counters by their names. Readers compare them with what the clients say they did (scripts/python/poolmark/verify/counters.py).
static json_t *counters_json(const struct broker_counts *counts)
{
    json_t *json = json_object();
#define X(name, help) json_object_set_new(json, #name, json_integer(counts->name));
    BROKER_COUNTERS(X)
#undef X
    return json;
}

// Closes a file and adds its lines to the books. Returns csv_close_account's code.
static int close_file(struct broker_record *record, struct csv *csv, struct books *books, const char *source,
                      const char *file)
{
    if (!csv)
        return 0;
    struct csv_account account;
    int code = csv_close_account(csv, &account);
    struct books_line line = {
        .attempted = account.rows, .measured = account.rows - account.lost, .unreadable = account.lost};
    snprintf(line.source, sizeof line.source, "%s", source);
    books_add(books, &line);
    if (account.fate != WRITTEN_WHOLE)
        record_anomaly(record->record, "file", "%s %s: none of its %lld lines can be relied on", file,
                       written_fate_text(account.fate), (long long)account.rows);
    return code;
}

int broker_record_close(struct broker_record *record, const struct broker_statistics *statistics,
                        const char *status, struct err *err)
{
    if (!record)
        return 0;
    struct books books = {.count = 0};
    int code = close_file(record, record->pools, &books, "pools_lines", "pools.csv");
    int other = close_file(record, record->events, &books, "events_lines", "events.csv");
    code = code < 0 ? code : other;
    other = close_file(record, record->bytes, &books, "account_lines", "account.csv");
    code = code < 0 ? code : other;
    if (code < 0)
        err_set(err, code, "the record's CSV files are not whole%s%s", code == -ESTALE ? "" : ": ",
                code == -ESTALE ? "" : strerror(-code));
    if (record->record) {
        books_close(&books, record->record);
        if (statistics) {
            add_metrics(record->record, statistics, record->memory_bound);
            record_set(record->record, "counters", counters_json(&statistics->counts));
        }
        if (code < 0 && strcmp(status, "complete") == 0)
            status = "incomplete";
        other = record_close(record->record, status, code < 0 ? NULL : err);
        code = code < 0 ? code : other;
    }
    pthread_mutex_destroy(&record->lock);
    free(record);
    return code;
}
