// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary_ranks.h"

#include "loadgen/ranks_counts.h"
#include "loadgen/withheld.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The greatest offset that a double, as readers of JSON have it, keeps to the nanosecond is 104 days: so it is an integer.
static json_t *clock_json(const struct clock_line *line)
{
    if (line->count == 0)
        return json_null();
    const struct clock_offset *first = &line->first, *last = &line->last;
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:i}", "offset_ns", (json_int_t)last->offset_ns,
                     "bound_ns", (json_int_t)last->bound_ns, "first_offset_ns", (json_int_t)first->offset_ns,
                     "first_bound_ns", (json_int_t)first->bound_ns, "worst_bound_ns",
                     (json_int_t)line->worst_bound_ns, "drift_ppb", clock_line_drift_ppb(line),
                     "drift_bound_ppb", clock_line_drift_bound_ppb(line), "measurements", line->count);
}

// Of rank 0 itself: without those of all others.
static json_t *own_counts(const struct run *run)
{
    struct tally own = {0};
    if (run->fleet)
        fleet_sum(run->fleet, &own);
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        fleet_sum(run->crews[i].fleet, &own);
    return ranks_counts_json(&own);
}

static json_t *counts_of(const struct ranks *ranks, int rank)
{
    struct tally tally = {0};
    for (int share = 0; share < ranks->shares.count; share++)
        tally_sum(&tally, &ranks->of[rank].shares[share].counts);
    return ranks_counts_json(&tally);
}

// The part of the pattern that the rank has (pattern_parts.h); NULL: it has none of its own.
static json_t *pattern_json(const struct run *run, int rank)
{
    const struct ranks_share *share = &run->ranks->shares.of[0];
    if (run->crews || !share->parts)
        return NULL;
    const struct pattern *part = &share->parts[rank];
    bool idle = pattern_clients(part) == 0;
    return json_pack("{s:I,s:I,s:I,s:I}", "publishers", (json_int_t)part->publishers, "subscribers",
                     (json_int_t)part->subscribers, "slow_readers", (json_int_t)part->slow, "topics",
                     (json_int_t)(idle ? 0 : part->topics));
}

// The clients of each group there, and the topics of those that publish to other groups; NULL: there are no groups.
static json_t *groups_json(const struct run *run, int rank)
{
    json_t *json = run->crews ? json_object() : NULL;
    for (int i = 0; json && i < run->config->crew_count; i++) {
        const struct ranks_share *share = &run->ranks->shares.of[i];
        json_t *group = json_pack("{s:I}", "clients",
                                  (json_int_t)division_clients(&share->division, share->clients, rank));
        if (share->parts && run->config->crews[i].messages_of == i)
            json_object_set_new(group, "topics",
                                json_integer(pattern_clients(&share->parts[rank]) > 0
                                                 ? (json_int_t)share->parts[rank].topics
                                                 : 0));
        json_object_set_new(json, run->config->crews[i].name, group);
    }
    return json;
}

static json_t *rank_json(const struct run *run, int rank)
{
    const struct ranks *ranks = run->ranks;
    const struct rank_state *of = &ranks->of[rank];
    const char *ended = rank == 0                ? (run_is_broken(run) ? run->broken : "in order")
                        : of->lost || of->why[0] ? of->why
                                                 : json_string_value(json_object_get(of->part, "ended"));
    const struct clock_line itself = {.count = 1};
    return json_pack(
        "{s:i,s:O?,s:I,s:i,s:o,s:b,s:s,s:o,s:o*,s:o*,s:O*}", "rank", rank, "host",
        json_object_get(of->facts, "host"), "clients", (json_int_t)ranks_shares_clients(&ranks->shares, rank),
        "workers", ranks_shares_workers(&ranks->shares, rank), "clock",
        clock_json(rank == 0 ? &itself : &of->clock), "lost", of->lost, "ended", ended ? ended : "not known",
        "counts", rank == 0 ? own_counts(run) : counts_of(ranks, rank), "pattern", pattern_json(run, rank),
        "groups", groups_json(run, rank), "watched", json_object_get(of->part, "watched"));
}

// --- anomalies ---------------------------------------------------------------------------------------------

static void note_difference(struct run *run, int rank, const char *what, const json_t *first,
                            const json_t *other)
{
    if (json_equal(first, other) || (!first && !other))
        return;
    char *one = first ? json_dumps(first, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    char *two = other ? json_dumps(other, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    run_anomaly(run, "ranks_differ", "%s: rank 0 has %.200s, rank %d has %.200s: figures of both are added",
                what, one ? one : "none", rank, two ? two : "none");
    free(one);
    free(two);
}

// Memory of the same host model differs by a little.
static const char *const compared[] = {"cores",    "kernel", "os",     "cpu_model",  "cpu_mitigations",
                                       "governor", "thp",    "cgroup", "virtualised"};

static void note_differences(struct run *run)
{
    const struct ranks *ranks = run->ranks;
    const json_t *first = json_object_get(ranks->of[0].facts, "host");
    for (int rank = 1; rank < ranks->size; rank++) {
        if (ranks_only_watches(ranks, rank))
            continue; // no figure is of both
        const json_t *other = json_object_get(ranks->of[rank].facts, "host");
        for (size_t i = 0; i < sizeof compared / sizeof *compared; i++)
            note_difference(run, rank, compared[i], json_object_get(first, compared[i]),
                            json_object_get(other, compared[i]));
        const char *key;
        json_t *limit, *setting;
        json_object_foreach(json_object_get(first, "limits"), key, limit)
        {
            char what[80];
            snprintf(what, sizeof what, "limits.%.60s", key);
            if (strcmp(key, "tcp_mem_pages") != 0 && strcmp(key, "file_max") != 0) // they follow the memory
                note_difference(run, rank, what, limit,
                                json_object_get(json_object_get(other, "limits"), key));
        }
        json_object_foreach(json_object_get(first, "settings"), key, setting)
        {
            const json_t *theirs = json_object_get(json_object_get(other, "settings"), key);
            if (!json_is_null(setting) && theirs && !json_is_null(theirs))
                note_difference(run, rank, key, setting, theirs);
        }
    }
}

// Processes that other ranks watch and that stood still: figures have doubts as with those of rank 0.
static void note_stops(struct run *run)
{
    for (int rank = 1; rank < run->ranks->size; rank++) {
        size_t i;
        json_t *text;
        json_array_foreach(json_object_get(run->ranks->of[rank].part, "stopped"), i, text)
        {
            run->stops.seen = true;
            run_anomaly(run, "target_stopped", "rank %d: %.900s", rank,
                        json_string_value(text) ? json_string_value(text) : "");
        }
    }
}

// Processes that other ranks watch and that executed another program.
static void note_replaced(struct run *run)
{
    for (int rank = 1; rank < run->ranks->size; rank++) {
        const char *text = json_string_value(json_object_get(run->ranks->of[rank].part, "replaced"));
        if (text)
            run_anomaly(run, "target_replaced", "rank %d: %.900s", rank, text);
    }
}

// Figures for a client that are of rank 0's host alone.
static bool has_figures_of_one_host(const struct summary *summary)
{
    uint64_t bit = withheld_bit("other_hosts");
    for (int i = 0; i < summary->count; i++)
        if (withheld_by(bit, summary->rows[i].name))
            return true;
    return false;
}

void summary_add_ranks(const struct summary *summary, struct run *run)
{
    struct ranks *ranks = run->ranks;
    if (!ranks_lead(ranks))
        return;
    for (int rank = 1; rank < ranks->size; rank++)
        if (ranks->of[rank].lost)
            run_anomaly(
                run, "rank_lost",
                "rank %d was lost: %s. What it had told before counts; the rest of its clients and messages "
                "counts as that of a process that died. Its own files, ranks/%d/, may still change and are "
                "not "
                "listed",
                rank, ranks->of[rank].why, rank);
    if (has_figures_of_one_host(summary))
        run_anomaly(run, "other_hosts",
                    "%d of %d ranks are other processes, mostly of other hosts: kernel memory, and memory "
                    "and CPU time "
                    "of the generator, are read on rank 0 alone and have no figure for a client; network.* "
                    "are of rank 0",
                    ranks->size - 1, ranks->size);
    note_differences(run);
    note_stops(run);
    note_replaced(run);
    if (!run->record)
        return;
    json_t *list = json_array();
    for (int rank = 0; rank < ranks->size; rank++)
        json_array_append_new(list, rank_json(run, rank));
    record_set(run->record, "ranks", list);
}
