// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks_follow.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/host.h"
#include "loadgen/ranks_counts.h"
#include "loadgen/ranks_frames.h"
#include "loadgen/run_setup.h"
#include "loadgen/whole_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PHASES_MAX = 48 }; // of a run with crews; more are called as the last

struct follower {
    struct run *run;
    char phases[PHASES_MAX][RANKS_PHASE_BYTES]; // their names outlive the orders
    int phase_count;
};

static const char *name_of(enum fleet_act act)
{
    static const char *const phases[] = {
        [FLEET_CONNECT] = "connect", [FLEET_PUBLISH] = "publish", [FLEET_PROVE] = "prove",
        [FLEET_CLOSE] = "close",     [FLEET_ARRIVE] = "arrive",   [FLEET_SUBSCRIBE] = "subscribe",
        [FLEET_RETAIN] = "retain"};
    return phases[act];
}

static const char *phase_of(struct follower *follower, const struct ranks_order *given)
{
    if (!given->phase[0])
        return name_of(given->acts[0].order.act);
    for (int i = 0; i < follower->phase_count; i++)
        if (strcmp(follower->phases[i], given->phase) == 0 || i == PHASES_MAX - 1)
            return follower->phases[i];
    char *kept = follower->phases[follower->phase_count++];
    memcpy(kept, given->phase, sizeof given->phase);
    return kept;
}

// When the clients of this rank arrived: those of each worker are in a row.
static void tell_arrivals(struct run *run, const struct fleet_order *order)
{
    for (int worker = 0; worker < run->plan.workers; worker++) {
        struct plan_share share = plan_share(&run->plan, run->ranks->rank, worker);
        int64_t before = plan_goal(share, order->before), count = plan_goal(share, order->goal) - before;
        ranks_tell_arrivals(run->ranks, share.first + before - order->before, count);
    }
}

static void carry_out(struct follower *follower, struct ranks_order *given)
{
    struct run *run = follower->run;
    struct ranks *ranks = run->ranks;
    run_phase(run, phase_of(follower, given));
    ranks->begun = given->number;
    if (run->crews) {
        (void)run_acts(run, given->acts, given->count, given->limit_ns);
    } else {
        struct fleet_order order = given->acts[0].order;
        run->wanted = order.act == FLEET_CONNECT ? order.goal : run->wanted;
        (void)run_order(run, run->fleet, &order, given->limit_ns);
        if (order.act == FLEET_ARRIVE && ranks->arrivals)
            tell_arrivals(run, &order);
    }
    ranks->number = given->number;
    run_tell(run);
    if (run_is_broken(run) && !ranks->halted)
        ranks_tell_trouble(ranks, run->broken);
}

// Until the next order, or the end.
static void wait_for_leader(struct run *run)
{
    bool broken = run_is_broken(run);
    if (!broken)
        (void)run_hold(run, NS_PER_MS);
    else if (ranks_hear(run->ranks) == 0)
        link_wait(&run->ranks->link, 10 * NS_PER_MS);
    if (!broken && run_is_broken(run)) // a worker died, or a signal
        ranks_tell_trouble(run->ranks, run->broken);
}

// The processes that a rank which only watches has watched; NULL: it has clients.
static json_t *watched_json(const struct run *run, const struct sample *start)
{
    struct sample peak;
    if (!run->config->only_watch)
        return NULL;
    sampler_peak(run->sampler, &peak);
    return json_pack("{s:i,s:I,s:I,s:I,s:I}", "processes", run->config->watch.count, "start_rss_bytes",
                     (json_int_t)start->target_rss_bytes, "start_private_bytes",
                     (json_int_t)start->target_private_bytes, "peak_rss_bytes",
                     (json_int_t)peak.target_rss_bytes, "peak_private_bytes",
                     (json_int_t)peak.target_private_bytes);
}

// What rank 0 shall say of watched processes that stood still; NULL: nothing.
static json_t *stopped_json(const struct run *run)
{
    char text[900];
    json_t *list = run->stops.seen ? json_array() : NULL;
    for (int kind = 0; list && kind < STOP_KINDS; kind++)
        if (stops_tell(&run->stops, (enum stop_kind)kind, text, sizeof text))
            json_array_append_new(list, json_string(text));
    return list;
}

// What rank 0 shall say of watched processes that executed another program; NULL: nothing.
static json_t *replaced_json(struct run *run)
{
    char text[500];
    (void)execs_look(&run->execs, clock_now_ns(), true);
    return execs_tell(&run->execs, text, sizeof text)[0] ? json_string(text) : NULL;
}

// Rank 0 has no other way to the file, where hosts share no disk.
static void tell_curve(struct run *run)
{
    char path[4200], *text = NULL;
    size_t bytes = 0;
    struct err err;
    if (!run->config->only_watch || !run->config->ranks_folder)
        return;
    snprintf(path, sizeof path, "%s/memory.csv", run->config->ranks_folder);
    if (whole_file_read(path, LINK_FRAME_MAX, &text, &bytes, &err) == 0)
        (void)!link_send(&run->ranks->link, RANKS_CURVE, 0, text, bytes);
    free(text);
}

static json_t *part_json(struct run *run, const char *ended, const struct sample *start)
{
    struct ranks *ranks = run->ranks;
    return json_pack("{s:i,s:s,s:o,s:I,s:i,s:o,s:o*,s:o*,s:o*}", "rank", ranks->rank, "ended", ended, "host",
                     host_facts(), "clients", (json_int_t)ranks_shares_clients(&ranks->shares, ranks->rank),
                     "workers", run->plan.workers, "counts", ranks_counts_json(&run->tally), "watched",
                     watched_json(run, start), "stopped", stopped_json(run), "replaced", replaced_json(run));
}

static int write_part(const struct run *run, const json_t *part)
{
    char path[4200];
    if (!run->config->ranks_folder)
        return 0;
    snprintf(path, sizeof path, "%s/rank.json", run->config->ranks_folder);
    return json_dump_file(part, path, JSON_INDENT(2));
}

int ranks_follow(struct run *run)
{
    struct ranks *ranks = run->ranks;
    struct follower follower = {.run = run};
    struct sample start = {.target_rss_bytes = -1, .target_private_bytes = -1};
    if (run->config->only_watch)
        (void)run_sample(run, &start);
    while (!ranks->ended && !ranks->trouble[0] && !run->interrupted) {
        struct ranks_order *given = ranks->order;
        ranks->order = NULL;
        if (given && !run_is_broken(run))
            carry_out(&follower, given);
        else
            wait_for_leader(run);
        free(given);
    }
    run_collect(run);
    run_tell(run);
    bool fine = !ranks->trouble[0] && (!run_is_broken(run) || ranks->halted);
    json_t *part = part_json(run,
                             fine                ? "in order"
                             : ranks->trouble[0] ? ranks->trouble
                                                 : run->broken,
                             &start);
    run_phase(run, "end");
    run_close_files(run);
    tell_curve(run);
    if (write_part(run, part) < 0) {
        fprintf(stderr, "poolmark-loadgen-mpi: rank %d: cannot write its part\n", ranks->rank);
        fine = false;
    }
    char *text = json_dumps(part, JSON_COMPACT);
    if (text)
        (void)!link_send(&ranks->link, RANKS_PART, 0, text, strlen(text));
    (void)!link_drain(&ranks->link, 5 * NS_PER_S);
    free(text);
    json_decref(part);
    return fine ? EXIT_OK : EXIT_FAILED;
}
