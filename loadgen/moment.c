// SPDX-License-Identifier: Apache-2.0
#include "loadgen/moment.h"

#include "loadgen/run.h"

// Per second; 0 when the count has fallen, as after a worker's death.
static double rate(int64_t now, int64_t before, int64_t ns)
{
    return now > before && ns > 0 ? (double)(now - before) * 1e9 / (double)ns : 0;
}

static void take_latency(struct moment_latency *latency, const struct hist *second, const struct hist *total)
{
    latency->count = hist_count(second);
    latency->p50_ns = hist_percentile_known(second, 50);
    latency->p99_ns = hist_percentile_known(second, 99);
    latency->max_ns = latency->count > 0 ? hist_max(second) : -1;
    latency->total_count = hist_count(total);
    if (latency->count > 0)
        latency->total_ns += hist_mean(second) * (double)latency->count;
}

void moment_take(struct moment *moment, struct run *run, int64_t now_ns)
{
    const int64_t *before = moment->tally.count;
    struct tally tally = run->tally;
    tally_join_messages(&tally, &run->probe_tally);
    int64_t span_ns = now_ns - moment->at_ns;
    moment->connects_per_s = rate(tally.count[TALLY_CONNECTED], before[TALLY_CONNECTED], span_ns);
    moment->messages_per_s = rate(tally.count[TALLY_PUBLISHED], before[TALLY_PUBLISHED], span_ns);
    moment->deliveries_per_s = rate(tally.count[TALLY_RECEIVED], before[TALLY_RECEIVED], span_ns);
    moment->tally = tally;
    moment->phase = run->phase;
    moment->at_ns = now_ns;
    moment->elapsed_s = (double)(now_ns - run->started_ns) / 1e9;
    moment->wanted = run->wanted;
    moment->top = run->top;
    moment->connecting = run->connecting;
    moment->publishing = run->publishing;
    moment->asked_per_s = 0;
    for (int i = 0; i < run->asked_count; i++)
        moment->asked_per_s += schedule_rate_per_s(&run->asked[i], now_ns);
    struct sample last;
    sampler_last(run->sampler, &last);
    moment->target_rss_bytes = last.target_rss_bytes;
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        take_latency(&moment->latency[kind], run->second[kind], run->total[kind]);
        hist_reset(run->second[kind]);
    }
}

json_t *moment_reasons(const int64_t counts[REASON_COUNT])
{
    json_t *json = json_object();
    for (int i = 0; i < REASON_COUNT; i++)
        if (counts[i] != 0)
            json_object_set_new(json, tally_reason_name((enum tally_reason)i), json_integer(counts[i]));
    return json;
}
