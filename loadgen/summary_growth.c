// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary_growth.h"

#include <math.h>
#include <stdio.h>

int64_t summary_judged(const struct sample *sample, const struct sample *start, const struct sample *full)
{
    if (start->target_private_bytes >= 0 && full->target_private_bytes >= 0)
        return sample->target_private_bytes;
    if (start->target_pss_bytes >= 0 && full->target_pss_bytes >= 0)
        return sample->target_pss_bytes;
    return sample->target_rss_bytes;
}

void summary_add_bytes(struct summary *summary, const char *name, int64_t bytes)
{
    summary_add(summary, name, bytes >= 0 ? (double)bytes : NAN, "B", "lower");
    if (bytes < 0)
        snprintf(summary->rows[summary->count - 1].why, sizeof summary->rows[0].why,
                 "the target's memory could not be read then");
}

double summary_growth_each(struct run *run, const char *name, int64_t low_bytes, int64_t high_bytes,
                           int64_t count, const char *what)
{
    if (low_bytes < 0 || high_bytes < 0 || count <= 0)
        return NAN;
    int64_t level_bytes = run_level_slack(high_bytes);
    if (high_bytes - low_bytes > 2 * level_bytes)
        return (double)(high_bytes - low_bytes) / (double)count;
    run_anomaly(
        run, "resolution",
        "%s: memory grew by %lld bytes over %lld %s, and readings of a level target differ by up to %lld "
        "each: no figure. Take more of them",
        name, (long long)(high_bytes - low_bytes), (long long)count, what, (long long)level_bytes);
    return NAN;
}
