// SPDX-License-Identifier: Apache-2.0
// What workers have counted and measured, on its way into a run: from fleets and crews, and between ranks.
#include "loadgen/run.h"

#include "base/clock.h"
#include "loadgen/ranks_frames.h"

// --- latencies ---------------------------------------------------------------------------------------------

struct interval { // of the log, by the wall clock
    int64_t from_ns, to_ns;
};

static void take_crew(struct run *run, int number, const struct interval *interval,
                      int64_t censored[LATENCY_COUNT])
{
    struct crew *crew = &run->crews[number];
    int64_t these[LATENCY_COUNT] = {0};
    crew_take(crew, these);
    ranks_collect(run->ranks, number, crew->interval, these);
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        ranks_tell_latency(run->ranks, number, (enum latency_kind)kind, crew->interval[kind], these[kind]);
    crew_collect(crew, run->phase, run->log, interval->from_ns, interval->to_ns, these, run->interval,
                 censored);
}

// Of a run without crews.
static void take_all(struct run *run, int64_t censored[LATENCY_COUNT])
{
    if (run->latency)
        latency_collect(run->latency, run->interval, censored);
    ranks_collect(run->ranks, 0, run->interval, censored);
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        ranks_tell_latency(run->ranks, 0, (enum latency_kind)kind, run->interval[kind], censored[kind]);
}

void run_take_latencies(struct run *run)
{
    // The wall clock may be set meanwhile: start and length of an interval come from the monotonic clock.
    int64_t now_ns = clock_now_ns(), log_ns = run->log_wall_ns - run->log_ns;
    struct interval interval = {.from_ns = log_ns + run->interval_from_ns, .to_ns = log_ns + now_ns};
    int64_t censored[LATENCY_COUNT] = {0};
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        take_crew(run, i, &interval, censored);
    if (!run->crews)
        take_all(run, censored);
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        run->censored[kind] += censored[kind];
        run->phase_censored[kind] += censored[kind];
        if (hist_count(run->interval[kind]) == 0)
            continue;
        if (run->log)
            hist_log_write(run->log, latency_name((enum latency_kind)kind), interval.from_ns, interval.to_ns,
                           run->interval[kind]);
        hist_merge(run->total[kind], run->interval[kind]);
        hist_merge(run->second[kind], run->interval[kind]);
        hist_merge(run->phase_hist[kind], run->interval[kind]);
        hist_reset(run->interval[kind]);
    }
    run->interval_from_ns = now_ns;
}

// --- counts ------------------------------------------------------------------------------------------------

bool run_settles(const struct run *run)
{
    return run->halted || run->broken[0] != '\0';
}

void run_read_tallies(struct run *run)
{
    run->tally = run->probe_tally = (struct tally){0};
    for (int i = 0; run->crews && i < run->config->crew_count; i++) {
        struct crew *crew = &run->crews[i];
        crew->tally = (struct tally){0};
        fleet_sum(crew->fleet, &crew->tally);
        ranks_sum(run->ranks, i, &crew->tally);
        fleet_sum(crew->fleet, &run->tally);
        ranks_sum(run->ranks, i, &run->tally);
    }
    if (run->fleet)
        fleet_sum(run->fleet, &run->tally);
    if (!run->crews)
        ranks_sum(run->ranks, 0, &run->tally);
    if (run_settles(run) && (run->board || run->crews))
        tally_settle(&run->tally);
    if (run->probes)
        fleet_sum(run->probes, &run->probe_tally);
    if (run->over && run->config->backoff.first_ns > 0) {
        tally_settle_returns(&run->tally);
        tally_settle_returns(&run->probe_tally);
    }
}

void run_collect(struct run *run)
{
    run_read_tallies(run);
    run_take_latencies(run);
}

void run_show(struct run *run, int64_t now_ns)
{
    moment_take(&run->moment, run, now_ns);
    views_show(&run->views, &run->moment);
}

// --- what rank 0 is told -----------------------------------------------------------------------------------

// The counts of a crew of publishers, and what is due at their subscribers by the board, were not read at one moment: both
// are told as of the board. So what rank 0 has of a rank that is lost between two readings adds up.
static void agree_on_due(const struct run *run, int publishers, struct ranks_told told[])
{
    const int64_t *before = run->crews[publishers].before.count;
    int64_t *count = told[publishers].tally.count;
    count[TALLY_DELIVERY_DUE] = before[TALLY_DELIVERY_DUE];
    count[TALLY_SLOW_DUE] = before[TALLY_SLOW_DUE];
    for (int i = 0; i < run->config->crew_count; i++)
        if (i != publishers && run->config->crews[i].messages_of == publishers)
            count[crew_is_slow(&run->crews[i]) ? TALLY_SLOW_DUE : TALLY_DELIVERY_DUE] += told[i].due;
}

void run_tell(struct run *run)
{
    struct ranks_told told[CREWS_MAX] = {0};
    run_take_latencies(run);
    run_read_tallies(run);
    told[0].tally = run->tally;
    for (int i = 0; run->crews && i < run->config->crew_count; i++) {
        told[i].tally = run->crews[i].tally;
        told[i].due = crew_due(&run->crews[i]);
    }
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        if (run->crews[i].board)
            agree_on_due(run, i, told);
    ranks_tell_counts(run->ranks, told);
}
