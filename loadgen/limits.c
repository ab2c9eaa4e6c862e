// SPDX-License-Identifier: Apache-2.0
#include "loadgen/limits.h"

#include "loadgen/connects.h"
#include "loadgen/receiving.h"
#include "loadgen/scenario.h"
#include "loadgen/summary_limits.h"

#include <stdio.h>
#include <string.h>

// A part of the time from which on it decides the rate.
#define MOST 0.25

static double share(int64_t part, int64_t of)
{
    return of > 0 ? (double)part / (double)of : 0;
}

static int64_t overflows(const struct netstat *start, pid_t pid)
{
    struct netstat now;
    netstat_read(&now, pid);
    int64_t before = start->count[NETSTAT_LISTEN_OVERFLOWS], after = now.count[NETSTAT_LISTEN_OVERFLOWS];
    return before >= 0 && after > before ? after - before : 0;
}

// Whether SYNs were dropped and clients of this run waited for that for a part of the time that counts.
static bool queue_was_full(const struct run *run, const struct limits_acts *acts)
{
    const struct surroundings *start = &run->surroundings;
    bool connects = acts->kind == LOAD_CONNECTS || acts->kind == LOAD_ARRIVALS;
    if (!connects || !connects_missed(run, CONNECTS_SYN_NS))
        return false;
    if (!(acts->asked_per_s > 0) && (double)connects_slowest_ns(run) < MOST * (double)acts->took_ns)
        return false;
    int64_t full = overflows(&start->net, 0);
    if (start->has_target_net)
        full += overflows(&start->target_net, (pid_t)start->pids[0]);
    return full > 0;
}

// Connects that failed for want of something on this host.
static void add_failures(struct limit_facts *facts, const struct tally *tally)
{
    static const enum tally_reason reasons[] = {REASON_NO_PORT, REASON_NO_SOURCE, REASON_NO_DESCRIPTOR,
                                                REASON_NO_MEMORY};
    const int64_t *counts = facts->kind == LOAD_ARRIVALS ? tally->away : tally->failed;
    int64_t most = 0;
    if (facts->kind != LOAD_ARRIVALS && facts->kind != LOAD_CONNECTS)
        return;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        facts->failed_here += (double)counts[reasons[i]];
        if (counts[reasons[i]] > most)
            facts->why_failed = tally_reason_text(reasons[i]);
        most = counts[reasons[i]] > most ? counts[reasons[i]] : most;
    }
}

static double figure(const struct tally *tally, enum load_kind kind, enum load_figure figure)
{
    return (double)tally->count[tally_of_load(kind, figure)] / 1e6;
}

static struct limit_facts facts_of(const struct run *run, const struct limits_acts *acts,
                                   const struct tally *tally)
{
    const struct loads_of *of = &run->loads.of[acts->kind];
    struct limit_facts facts = {.kind = acts->kind,
                                .asked_per_s = acts->asked_per_s,
                                .had_per_s = acts->had_per_s,
                                .in_time = acts->in_time,
                                .due = (double)acts->due,
                                .not_sent = (double)acts->not_sent,
                                .none_due = acts->due == 0,
                                .queue_full = queue_was_full(run, acts),
                                .waits = acts->waits,
                                .lag_p99_ns = of->lag_p99_ns,
                                .ran = figure(tally, acts->kind, LOAD_RAN_PPM),
                                .waited = figure(tally, acts->kind, LOAD_WAITED_PPM),
                                .took_ns = acts->took_ns,
                                .brief = acts->took_ns < THREAD_LOAD_LEAST_NS,
                                .target_stopped = share(of->stopped_ns, of->ns),
                                .stalled = figure(tally, acts->kind, LOAD_STALLED_PPM),
                                .idle = cpu_idle_between(&of->idle_from, &of->idle_to)};
    if (of->ns >= THREAD_LOAD_LEAST_NS) {
        facts.target_ran = share(of->ran_ns, of->ns);
        facts.target_waited = share(of->waited_ns, of->ns);
    }
    add_failures(&facts, tally);
    return facts;
}

static void add_busiest(struct summary *summary, const char *prefix, const struct limit_facts *facts)
{
    char name[SUMMARY_NAME_BYTES];
    if (facts->ran + facts->waited == 0)
        return;
    snprintf(name, sizeof name, "%sgenerator.busiest_ran", prefix);
    summary_add(summary, name, facts->ran, "1", "none");
    snprintf(name, sizeof name, "%sgenerator.busiest_waited", prefix);
    summary_add(summary, name, facts->waited, "1", "none");
}

void limits_add(struct run *run, struct summary *summary, const struct limits_acts *acts)
{
    struct limit_facts facts = facts_of(run, acts, acts->probes ? &run->probe_tally : &run->tally);
    bool is_main = acts->kind == run->config->scenario->limit_of;
    struct limit limit;
    if (acts->kind == LOAD_MESSAGES && !acts->probes) {
        facts.unread = receiving_unread(run);
        facts.late_receiver = receiving_was_late(run);
    }
    limit_judge(&limit, &facts);
    if (!is_main && facts.brief && limit.by == LIMIT_UNKNOWN)
        return; // a means, as the connects of a publish, over before anything could be said
    summary_add_limit(summary, limit_kind_name(acts->kind), &limit, is_main);
    if (is_main)
        add_busiest(summary, "", &facts);
}

void limits_add_part(struct run *run, struct summary *summary, const struct limits_acts *acts,
                     const struct limits_part *part)
{
    struct limit_facts facts = facts_of(run, acts, part->tally);
    char name[SUMMARY_NAME_BYTES];
    struct limit limit;
    int64_t p99_ns = hist_percentile_known(part->lag, 99);
    facts.lag_p99_ns = p99_ns >= 0 ? p99_ns : hist_max(part->lag);
    limit_judge(&limit, &facts);
    if (!(acts->asked_per_s > 0) && facts.brief && limit.by == LIMIT_UNKNOWN)
        return;
    snprintf(name, sizeof name, "%s%s", part->prefix, limit_kind_name(acts->kind));
    summary_add_limit(summary, name, &limit, false);
    add_busiest(summary, part->prefix, &facts);
}
