// SPDX-License-Identifier: Apache-2.0
#include "loadgen/overview_json.h"

#include "loadgen/engine.h"
#include "loadgen/scenario.h"
#include "loadgen/summary_ceilings.h"
#include "loadgen/summary_limits.h"

#include <math.h>

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *metrics_json(const struct summary *summary)
{
    json_t *json = json_object();
    for (int i = 0; i < summary->count; i++)
        json_object_set_new(json, summary->rows[i].name,
                            isfinite(summary->rows[i].value) ? json_real(summary->rows[i].value)
                                                             : json_null());
    return json;
}

// {METRIC: the anomaly by which it may be disturbed}.
static json_t *doubts_json(const struct summary *summary)
{
    json_t *json = json_object();
    for (int i = 0; i < summary->count; i++)
        if (summary->rows[i].doubt && isfinite(summary->rows[i].value))
            json_object_set_new(json, summary->rows[i].name, json_string(summary->rows[i].doubt));
    return json;
}

json_t *overview_json(const struct overview *overview, int64_t left_out)
{
    const struct run *run = overview->run;
    const struct config *config = run->config;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:f, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "schema",
        JSON_LINES_SCHEMA, "type", "summary", "status", overview->status, "scenario", config->scenario->name,
        "engine", config->engine->name, "elapsed_s", (double)overview->took_ns / 1e9, "ended_early",
        text_or_null(run->broken), "connections_wanted", (json_int_t)(config->connections - config->later),
        "limit", summary_limit_json(overview->summary), "limits", summary_limits_json(overview->summary),
        "ceilings", summary_ceilings_json(overview->summary), "verdicts",
        summary_verdicts_json(overview->summary), "metrics", metrics_json(overview->summary), "doubts",
        doubts_json(overview->summary), "record", text_or_null(config->record_dir), "seconds_left_out",
        (json_int_t)left_out);
    struct tally tally = run->tally;
    tally_join_messages(&tally, &run->probe_tally);
    moment_set_counts(json, &tally);
    return json;
}
