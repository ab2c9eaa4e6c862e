// SPDX-License-Identifier: Apache-2.0
#include "loadgen/json_lines.h"

#include "base/streams.h"

#include <stdlib.h>

static json_t *known(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

static json_t *latency_json(const struct moment_latency *latency)
{
    return json_pack("{s:I, s:o, s:o, s:o}", "count", (json_int_t)latency->count, "p50_ns",
                     known(latency->p50_ns), "p99_ns", known(latency->p99_ns), "max_ns",
                     known(latency->max_ns));
}

// "connects_per_s", "connects_per_s_asked".
static void set_rate(json_t *json, enum asked_kind kind, const struct moment_rate *rate)
{
    char key[48];
    snprintf(key, sizeof key, "%s_per_s", moment_kinds[kind].name);
    json_object_set_new(json, key, json_real(rate->had_per_s));
    snprintf(key, sizeof key, "%s_per_s_asked", moment_kinds[kind].name);
    json_object_set_new(json, key, rate->asked_per_s > 0 ? json_real(rate->asked_per_s) : json_null());
}

static json_t *second_json(const struct moment *moment)
{
    static const enum latency_kind kinds[] = {LATENCY_CONNECT, LATENCY_ARRIVAL,   LATENCY_DELIVERY,
                                              LATENCY_ACK,     LATENCY_SUBSCRIBE, LATENCY_UNSUBSCRIBE};
    json_t *json = json_pack("{s:s, s:s, s:f, s:s, s:I, s:I, s:f, s:o}", "schema", JSON_LINES_SCHEMA, "type",
                             "second", "elapsed_s", moment->elapsed_s, "phase", moment->phase,
                             "connections_wanted", (json_int_t)moment->wanted, "connections",
                             (json_int_t)moment->tally.count[TALLY_OPEN], "deliveries_per_s",
                             moment->deliveries_per_s, "target_rss_bytes", known(moment->target_rss_bytes));
    moment_set_counts(json, &moment->tally);
    for (int kind = 0; json && kind < ASKED_KINDS; kind++)
        set_rate(json, (enum asked_kind)kind, &moment->rates[kind]);
    for (size_t i = 0; json && i < sizeof kinds / sizeof kinds[0]; i++)
        json_object_set_new(json, latency_name(kinds[i]), latency_json(&moment->latency[kinds[i]]));
    return json;
}

void json_lines_print(struct json_lines *lines, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        fprintf(lines->to, "%s\n", text);
    else
        lines->left_out++;
    fflush(lines->to);
    free(text);
    json_decref(object);
}

void json_lines_show(struct json_lines *lines, const struct moment *moment)
{
    if (!lines->to || ferror(lines->to))
        return;
    if (streams_ready(lines->to))
        json_lines_print(lines, second_json(moment));
    else
        lines->left_out++;
}
