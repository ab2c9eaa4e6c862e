// SPDX-License-Identifier: Apache-2.0
#include "loadgen/moment.h"

#include "loadgen/message_faults.h"
#include "loadgen/run.h"

const struct moment_kind moment_kinds[ASKED_KINDS] = {
    [ASKED_CONNECTS] = {"connects", LATENCY_CONNECT, TALLY_STARTED, TALLY_CONNECTED},
    [ASKED_ARRIVALS] = {"arrivals", LATENCY_ARRIVAL, TALLY_ARRIVAL_DUE, TALLY_ARRIVED},
    [ASKED_MESSAGES] = {"messages", LATENCY_DELIVERY, TALLY_DUE, TALLY_PUBLISHED},
    [ASKED_SUBSCRIBES] = {"subscribes", LATENCY_SUBSCRIBE, TALLY_ADD_DUE, TALLY_ADDED},
    [ASKED_UNSUBSCRIBES] = {"unsubscribes", LATENCY_UNSUBSCRIBE, TALLY_REMOVE_DUE, TALLY_REMOVED},
};

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

static void take_rates(struct moment *moment, struct asked *asked, const struct tally *tally, int64_t now_ns)
{
    const int64_t *before = moment->tally.count;
    struct asked_now now[ASKED_KINDS];
    asked_take(asked, moment->at_ns, now_ns, now);
    for (int kind = 0; kind < ASKED_KINDS; kind++) {
        enum tally_count had = moment_kinds[kind].had;
        moment->rates[kind] =
            (struct moment_rate){.under_way = now[kind].under_way,
                                 .asked_per_s = now[kind].per_s,
                                 .had_per_s = rate(tally->count[had], before[had], now_ns - moment->at_ns)};
    }
    moment->deliveries_per_s =
        rate(tally->count[TALLY_RECEIVED], before[TALLY_RECEIVED], now_ns - moment->at_ns);
}

void moment_take(struct moment *moment, struct run *run, int64_t now_ns)
{
    struct tally tally = run->tally;
    tally_join_messages(&tally, &run->probe_tally);
    take_rates(moment, &run->asked, &tally, now_ns);
    moment->tally = tally;
    moment->phase = run->phase;
    moment->at_ns = now_ns;
    moment->elapsed_s = (double)(now_ns - run->started_ns) / 1e9;
    moment->wanted = run->wanted;
    moment->top = run->top;
    struct sample last;
    sampler_last(run->sampler, &last);
    moment->target_rss_bytes = last.target_rss_bytes;
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        take_latency(&moment->latency[kind], run->second[kind], run->total[kind]);
        hist_reset(run->second[kind]);
    }
}

void moment_set_counts(json_t *json, const struct tally *tally)
{
    static const struct {
        const char *name;
        enum tally_count what;
    } counts[] = {{"connected", TALLY_CONNECTED},
                  {"arrivals_due", TALLY_ARRIVAL_DUE},
                  {"arrivals", TALLY_ARRIVED},
                  {"arrivals_not_sent", TALLY_ARRIVAL_NOT_SENT},
                  {"arrivals_retries", TALLY_ARRIVAL_RETRIES},
                  {"messages_due", TALLY_DUE},
                  {"messages_sent", TALLY_PUBLISHED},
                  {"deliveries_due", TALLY_DELIVERY_DUE},
                  {"messages_received", TALLY_RECEIVED},
                  {"subscribes_due", TALLY_ADD_DUE},
                  {"subscribes", TALLY_ADDED},
                  {"unsubscribes_due", TALLY_REMOVE_DUE},
                  {"unsubscribes", TALLY_REMOVED}};
    for (size_t i = 0; json && i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(json, counts[i].name, json_integer(tally->count[counts[i].what]));
    for (const struct message_fault *one = message_faults(); json && one->metric; one++) {
        char key[MESSAGE_FAULT_KEY_BYTES];
        json_object_set_new(json, message_fault_key(one, key), json_integer(message_fault_count(one, tally)));
    }
    if (!json)
        return;
    json_object_set_new(json, "failed", json_integer(tally_failed(tally)));
    json_object_set_new(json, "dropped", json_integer(tally_dropped(tally)));
    json_object_set_new(json, "arrivals_failed", json_integer(tally_away(tally)));
    json_object_set_new(json, "failed_by", moment_reasons(tally->failed));
    json_object_set_new(json, "dropped_by", moment_reasons(tally->dropped));
    json_object_set_new(json, "arrivals_failed_by", moment_reasons(tally->away));
}

json_t *moment_reasons(const int64_t counts[REASON_COUNT])
{
    json_t *json = json_object();
    for (int i = 0; i < REASON_COUNT; i++)
        if (counts[i] != 0)
            json_object_set_new(json, tally_reason_name((enum tally_reason)i), json_integer(counts[i]));
    return json;
}
