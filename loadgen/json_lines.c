// SPDX-License-Identifier: Apache-2.0
#include "loadgen/json_lines.h"

#include "base/streams.h"
#include "loadgen/message_faults.h"

#include <stdlib.h>

static json_t *known(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

static json_t *asked(const struct moment *moment, bool now)
{
    return now && moment->asked_per_s > 0 ? json_real(moment->asked_per_s) : json_null();
}

static json_t *latency_json(const struct moment_latency *latency)
{
    return json_pack("{s:I, s:o, s:o, s:o}", "count", (json_int_t)latency->count, "p50_ns",
                     known(latency->p50_ns), "p99_ns", known(latency->p99_ns), "max_ns",
                     known(latency->max_ns));
}

static json_t *second_json(const struct moment *moment)
{
    static const struct {
        const char *name;
        enum tally_count what;
    } counts[] = {{"connections", TALLY_OPEN},
                  {"connected", TALLY_CONNECTED},
                  {"messages_due", TALLY_DUE},
                  {"messages_sent", TALLY_PUBLISHED},
                  {"deliveries_due", TALLY_DELIVERY_DUE},
                  {"messages_received", TALLY_RECEIVED}};
    static const enum latency_kind kinds[] = {LATENCY_CONNECT, LATENCY_DELIVERY, LATENCY_ACK};
    const struct tally *tally = &moment->tally;
    json_t *json = json_pack(
        "{s:s, s:s, s:f, s:s, s:I, s:I, s:I, s:o, s:o, s:f, s:o, s:f, s:f, s:o, s:o}", "schema",
        JSON_LINES_SCHEMA, "type", "second", "elapsed_s", moment->elapsed_s, "phase", moment->phase,
        "connections_wanted", (json_int_t)moment->wanted, "failed", (json_int_t)tally_failed(tally),
        "dropped", (json_int_t)tally_dropped(tally), "failed_by", moment_reasons(tally->failed), "dropped_by",
        moment_reasons(tally->dropped), "connects_per_s", moment->connects_per_s, "connects_per_s_asked",
        asked(moment, moment->connecting), "messages_per_s", moment->messages_per_s, "deliveries_per_s",
        moment->deliveries_per_s, "messages_per_s_asked", asked(moment, moment->publishing),
        "target_rss_bytes", known(moment->target_rss_bytes));
    for (size_t i = 0; json && i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(json, counts[i].name, json_integer(tally->count[counts[i].what]));
    for (const struct message_fault *one = message_faults(); json && one->metric; one++) {
        char key[MESSAGE_FAULT_KEY_BYTES];
        json_object_set_new(json, message_fault_key(one, key), json_integer(message_fault_count(one, tally)));
    }
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
