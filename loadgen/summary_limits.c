// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary_limits.h"

#include <stdio.h>

void summary_add_limit(struct summary *summary, const char *name, const struct limit *limit, bool is_main)
{
    if (is_main)
        summary->limit = *limit;
    if (summary->limit_count == SUMMARY_LIMITS_MAX)
        return;
    struct summary_limit *one = &summary->limits[summary->limit_count++];
    snprintf(one->name, sizeof one->name, "%s", name);
    one->limit = *limit;
    one->is_main = is_main;
}

static json_t *limit_json(const struct limit *limit)
{
    return json_pack("{s:s, s:s}", "by", limit_name(limit->by), "why", limit->why);
}

json_t *summary_limit_json(const struct summary *summary)
{
    return summary->limit.why[0] ? limit_json(&summary->limit) : json_null();
}

json_t *summary_limits_json(const struct summary *summary)
{
    json_t *json = json_object();
    for (int i = 0; i < summary->limit_count; i++)
        json_object_set_new(json, summary->limits[i].name, limit_json(&summary->limits[i].limit));
    return json;
}

void summary_write_limits(const struct summary *summary, struct record *record)
{
    if (summary->limit.why[0])
        record_set(record, "summary.limit", summary_limit_json(summary));
    if (summary->limit_count > 0)
        record_set(record, "summary.limits", summary_limits_json(summary));
}
