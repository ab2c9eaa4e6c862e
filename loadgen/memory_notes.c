// SPDX-License-Identifier: Apache-2.0
#include "loadgen/memory_notes.h"

#include "base/procmem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { UNHELD_ONE_IN = 20 }; // connections that a target may be about to close

static void stands_in(struct run *run, const char *kind, const struct sample *full)
{
    if (run->record)
        record_set(run->record, "summary.memory_is", json_string(kind));
    if (strcmp(kind, "private") != 0)
        run_anomaly(run, "stand_in",
                    "smaps_rollup of a watched process cannot be read (%s): memory.* are by %s instead of "
                    "private memory, and so count what it shares with others%s",
                    strerror(full->rollup_error < 0 ? -full->rollup_error : ENODATA),
                    strcmp(kind, "pss") == 0 ? "PSS" : "RSS",
                    full->rollup_error == -EACCES ? "; run the generator as the target's user, or as root"
                                                  : "");
}

// Private memory is judged. MAP_SHARED memory is not private, even if only the target uses it.
static void note_shared(struct run *run, const struct sample *start, const struct sample *full)
{
    int64_t bytes = full->target_shared_bytes, grew_bytes = bytes - start->target_shared_bytes;
    int64_t connections = full->connections - start->connections;
    if (bytes < 0 || start->target_shared_bytes < 0 ||
        bytes <= 2 * run_level_slack(full->target_private_bytes))
        return;
    run_anomaly(
        run, "shared",
        "the target has %lld bytes of shared memory (shm, MAP_SHARED), %lld at the start: %.1f a connection. "
        "memory.* are of private memory and do not have them; those by PSS and RSS do",
        (long long)bytes, (long long)start->target_shared_bytes,
        connections > 0 ? (double)grew_bytes / (double)connections : 0.0);
}

// What the kernel has put on disk is the target's all the same, and comes back only when it is used.
static void note_swapped(struct run *run, const char *kind, const struct sample *start,
                         const struct sample *full)
{
    struct sample peak = *full;
    if (run->sampler)
        sampler_peak(run->sampler, &peak);
    int64_t most = peak.target_swap_bytes;
    if (most < full->target_swap_bytes || most < start->target_swap_bytes)
        most = full->target_swap_bytes > start->target_swap_bytes ? full->target_swap_bytes
                                                                  : start->target_swap_bytes;
    if (most <= 0)
        return;
    bool has_it = strcmp(kind, "private") == 0;
    run_anomaly(run, has_it ? "swapped" : "swap_not_counted",
                "of the target's memory up to %lld bytes were swapped out (%lld at the start, %lld with all "
                "connections)%s. Latencies and CPU time have what it costs to bring memory back: give the "
                "host or the target's cgroup more memory, or turn swap off",
                (long long)most, (long long)start->target_swap_bytes, (long long)full->target_swap_bytes,
                has_it ? ". Private memory has them; RSS and PSS do not"
                       : ", and memory for a connection has no figure: RSS and PSS do not have them");
}

// Pages of the same content are one for all processes that have them: they are not private, and their number says
// nothing of how much was written.
static void note_merged(struct run *run, const struct sample *full)
{
    if (full->target_merged_bytes <= 0)
        return;
    run_anomaly(
        run, "merged",
        "%lld bytes of the target's memory are merged with pages of the same content (KSM): memory.* "
        "are of private memory and leave out those that are shared so. For figures of what the target "
        "takes, turn KSM off (/sys/kernel/mm/ksm/run) and start the target anew",
        (long long)full->target_merged_bytes);
}

// A process that forked shares its memory with its children until one of them writes.
static void note_forked(struct run *run, const struct sample *start, const struct sample *full)
{
    int64_t most = full->target_forked_bytes > start->target_forked_bytes ? full->target_forked_bytes
                                                                          : start->target_forked_bytes;
    bool is_one = !run->config || run->config->watch.count <= 1;
    if (!is_one || most <= 2 * run_level_slack(full->target_private_bytes))
        return;
    run_anomaly(
        run, "forked",
        "the watched process shares %lld bytes of its anonymous memory with processes that are not watched, "
        "since a fork (%lld at the start, %lld with all connections): memory.* are of private memory and do "
        "not "
        "have them. Watch all processes of the target (--watch-pid): then each page is in them once",
        (long long)most, (long long)start->target_forked_bytes, (long long)full->target_forked_bytes);
}

// Memory that an allocator gave back, and that the kernel has not taken yet.
static void note_lazily_freed(struct run *run, const struct sample *start, const struct sample *full)
{
    int64_t most = full->target_lazy_free_bytes > start->target_lazy_free_bytes
                       ? full->target_lazy_free_bytes
                       : start->target_lazy_free_bytes;
    if (most <= 2 * run_level_slack(full->target_private_bytes))
        return;
    run_anomaly(
        run, "lazy_free",
        "%lld bytes of the target's memory were given back with MADV_FREE (%lld at the start, %lld with all "
        "connections), and the kernel takes them when it needs room: memory.* are of private memory and do "
        "not "
        "have them; those by PSS and RSS do",
        (long long)most, (long long)start->target_lazy_free_bytes, (long long)full->target_lazy_free_bytes);
}

void memory_notes_add(struct run *run, const char *kind, const struct sample *start,
                      const struct sample *full)
{
    stands_in(run, kind, full);
    note_swapped(run, kind, start, full);
    if (strcmp(kind, "private") != 0)
        return;
    note_shared(run, start, full);
    note_merged(run, full);
    note_forked(run, start, full);
    note_lazily_freed(run, start, full);
}

// A target of several processes that have one listening socket: each connection is of one of them.
static void judge_shared_listeners(struct run *run, const struct sample *full)
{
    struct owners *owners = &run->owners;
    int64_t unheld = full->target_descriptors < 0 ? 0 : full->connections - full->target_descriptors;
    int64_t more = owners_more_children(owners, run->config->watch_pids, run->config->watch.count);
    owners->wrong = true;
    if (owners->sharing > 0)
        run_anomaly(
            run, "not_all_watched",
            "memory and CPU time of the target have no figure: %d process%s not watched %s a listening "
            "socket of the target too, the first is %lld, and may serve some of the connections: watch all "
            "processes of all targets (--watch-pid)",
            owners->sharing, owners->sharing == 1 ? " that is" : "es that are",
            owners->sharing == 1 ? "has" : "have", (long long)owners->first_sharing);
    else if (unheld > full->connections / UNHELD_ONE_IN)
        run_anomaly(
            run, "not_all_watched",
            "memory and CPU time of the target have no figure: the watched processes listen for it, "
            "and have only %lld descriptors open for %lld connections. Others serve the rest (workers, "
            "a process for each connection): watch all processes of all targets (--watch-pid)",
            (long long)full->target_descriptors, (long long)full->connections);
    else if (full->connections > 0 && more * 2 >= full->connections)
        run_anomaly(run, "not_all_watched",
                    "memory and CPU time of the target have no figure: the watched processes have started "
                    "%lld others during %lld connections: a target that serves each connection in a process "
                    "of its own cannot be watched",
                    (long long)more, (long long)full->connections);
    else
        owners->wrong = false;
}

// The kernel counts it in nanoseconds: to accept one connection takes some.
static bool has_rested(const struct sample *start, const struct sample *full)
{
    return start->connections >= 0 && full->connections > start->connections && start->target_cpu_ns >= 0 &&
           full->target_cpu_ns == start->target_cpu_ns;
}

// What is known of watched processes of which none listens at a target. `more`: what else to say.
static void judge_by_descriptors(struct run *run, int64_t open, const char *more)
{
    struct owners *owners = &run->owners;
    owners->wrong = !owners_hold(run->config->watch_pids, run->config->watch.count, open);
    if (owners->wrong)
        run_anomaly(
            run, "not_the_target",
            "memory and CPU time of the target have no figure: the watched processes have fewer descriptors "
            "open than there are connections (%lld)%s%s: watch the processes of the target (--watch-pid)",
            (long long)open, owners->first[0] ? ", and none listens at " : "", owners->first);
    else
        run_anomaly(run, "watched_unseen",
                    "whether the watched processes are the target is not known: %s. They have as many "
                    "descriptors open as there are connections, as other programs may have: if they are not "
                    "the target, "
                    "memory and CPU time of the target are theirs",
                    more);
}

static void judge_without_listener(struct run *run, int64_t open)
{
    struct owners *owners = &run->owners;
    bool looked = owners->known && owners->looks > 0,
         few = owners->of - owners->held > owners->of / UNHELD_ONE_IN;
    char holder[64] = "";
    if (owners->holder > 0)
        snprintf(holder, sizeof holder, " (process %lld does)", (long long)owners->holder);
    if (!looked) {
        judge_by_descriptors(run, open,
                             owners->known
                                 ? "no client was connected when it was looked for"
                                 : "their descriptors may not be listed by this user. Run the generator "
                                   "as their user, or as root");
        return;
    }
    if (owners->held == 0 && owners->listeners > 0 && owners->holder == 0) {
        judge_by_descriptors(
            run, open,
            "the process that listens for it may not be looked into, and may be a proxy in front "
            "of them. Run the generator as root");
        return;
    }
    if (owners->held == 0 && owners->listeners == 0 &&
        owners->connected >= owners->of - owners->of / UNHELD_ONE_IN) {
        judge_by_descriptors(
            run, open,
            "nothing listens at its address on this host, and their connections come from others "
            "(a load balancer, or a translation of addresses)");
        return;
    }
    owners->wrong = owners->held == 0 || few;
    if (owners->held == 0)
        run_anomaly(
            run, "not_the_target",
            "memory and CPU time of the target have no figure: the watched processes have none of the %lld "
            "connections of this run, and none listens at %s%s: watch the processes of the target "
            "(--watch-pid)",
            (long long)owners->of, owners->listeners > 0 ? owners->first : "its address on this host",
            holder);
    else if (few)
        run_anomaly(
            run, "not_all_watched",
            "memory and CPU time of the target have no figure: the watched processes do not listen for "
            "it, and have only %lld of the %lld connections of this run. Others serve the rest: watch all "
            "processes of all targets (--watch-pid)",
            (long long)owners->held, (long long)owners->of);
}

// Watched processes beside those of the target: somebody asked for them.
static void tell_helpers(struct run *run)
{
    const struct owners *owners = &run->owners;
    int64_t first = 0;
    int helpers = 0, count = run->config->watch.count;
    for (int i = 0; i < count; i++)
        if (owners->roles[i] == OWNER_NONE && helpers++ == 0)
            first = run->config->watch_pids[i];
    if (helpers == 0 || helpers == count || owners->looks == 0)
        return;
    run_anomaly(
        run, "helper_watched",
        "%d watched process%s, the first is %lld, neither listen%s for the target nor %s a connection of "
        "this run. memory and CPU time of the target have %s, because --watch-pid asks for it: leave out "
        "what is no part of the target",
        helpers, helpers == 1 ? "" : "es", (long long)first, helpers == 1 ? "s" : "",
        helpers == 1 ? "has" : "have", helpers == 1 ? "its" : "theirs");
}

// Children that share no listener, and work for the target.
static void judge_children(struct run *run)
{
    struct owners *owners = &run->owners;
    struct children now;
    struct children_work work;
    char who[96] = "";
    children_read(&now, run->config->watch_pids, run->config->watch.count);
    if (!children_judge(&owners->before, &now, &work))
        return;
    owners->wrong = true;
    if (now.count > 0)
        snprintf(who, sizeof who, "; %d live%s, the first is %lld, with %lld bytes of memory", now.count,
                 now.count == 1 ? "s" : "", (long long)now.first, (long long)now.bytes);
    run_anomaly(
        run, "not_all_watched",
        "memory and CPU time of the target have no figure: children of the watched processes that are not "
        "watched took %.3f s of CPU time beside their %.3f s%s. They work for the target, and no reading has "
        "that: watch them too (--watch-pid); a target whose children come and go cannot be watched",
        (double)work.cpu_ns / 1e9, (double)work.target_cpu_ns / 1e9, who);
}

void memory_notes_watched(struct run *run, const struct sample *start, const struct sample *full)
{
    const struct config *config = run->config;
    struct owners *owners = &run->owners;
    if (owners->judged || !config || config->watch.count == 0)
        return;
    owners->judged = true;
    int64_t open = run->tally.count[TALLY_OPEN];
    if (owners->known && owners->unowned > 0 && owners->unowned < owners->listeners) {
        owners->wrong = true;
        run_anomaly(
            run, "not_all_watched",
            "memory and CPU time of the target have no figure: %d of %d listening sockets of the targets are "
            "of no watched process, the first at %s: watch all processes of all targets (--watch-pid)",
            owners->unowned, owners->listeners, owners->first);
    } else if (owners->unowned == owners->listeners || (!owners->known && owners->unowned > 0)) {
        judge_without_listener(run, open);
    } else if (owners->listeners > owners->unowned) {
        judge_shared_listeners(run, full);
    }
    if (!owners->wrong)
        judge_children(run);
    if (!owners->wrong)
        tell_helpers(run);
    if (!owners->wrong && has_rested(start, full)) {
        owners->wrong = true;
        run_anomaly(
            run, "not_all_watched",
            "memory and CPU time of the target have no figure: the watched processes took no CPU time "
            "while %lld connections were made. Others serve them: watch all processes of all targets "
            "(--watch-pid)",
            (long long)(full->connections - start->connections));
    }
}

void memory_notes_peak(struct run *run, const struct sample *peak)
{
    enum { SLACK_BYTES = 4 << 20, SLACK_ONE_IN = 20 }; // the kernel adds pages up for each processor
    int64_t seen = peak->target_rss_bytes;
    if (run->config->watch.count != 1 || run->highest_bytes < 0 || seen < 0 || run->owners.wrong)
        return;
    int64_t highest = procmem_highest((pid_t)run->config->watch_pids[0]);
    if (highest <= run->highest_bytes || highest - seen <= SLACK_BYTES + seen / SLACK_ONE_IN)
        return; // it was before the run, or was seen
    run_anomaly(run, "peak_missed",
                "memory.peak_bytes is the highest of readings a second apart, at which up to %lld bytes were "
                "resident. Between two of them the target had %lld for a moment, as the kernel says (VmHWM): "
                "it needs that much, and the figure is marked as doubtful",
                (long long)seen, (long long)highest);
    withheld_add(&run->doubted, "peak_missed", "memory.peak_bytes");
}

static json_t *kept_json(const struct kept_reading *start, const struct kept_reading *end)
{
    const char *why = start->why ? start->why : end->why;
    return json_pack("{s:o,s:o,s:o}", "start",
                     start->sessions >= 0 ? json_integer(start->sessions) : json_null(), "end",
                     end->sessions >= 0 ? json_integer(end->sessions) : json_null(), "why",
                     why ? json_string(why) : json_null());
}

void memory_notes_kept(struct run *run)
{
    const struct config *config = run->config;
    struct kept_reading *start = &run->kept.start, *end = &run->kept.end;
    if (config->watch.count == 0)
        return;
    *end = *start;
    if (start->sessions >= 0 && run->targets.ended > 0)
        *end = (struct kept_reading){.sessions = -1, .why = "a watched process has ended"};
    else if (start->sessions >= 0)
        kept_read(end, &run->plan, &config->identity, config->watch_pids, config->watch.count);
    if (run->record)
        record_set(run->record, "summary.kept_sessions", kept_json(start, end));
    int64_t more =
        config->keep_sessions ? 0 : end->sessions - start->sessions; // of the run's own clients too
    if (start->sessions <= 0 && more <= 0)
        return;
    bool marks = run->tally.count[TALLY_PUBLISHED] > 0;
    if (marks)
        withheld_add_all(&run->doubted, "other_clients", "kept_sessions");
    char last[32] = "an unknown number";
    if (end->sessions >= 0)
        snprintf(last, sizeof last, "%lld", (long long)end->sessions);
    run_anomaly(run, "kept_sessions",
                "the target keeps sessions of other clients that are away: %lld at the start, %s at the end "
                "($SYS/broker/clients/disconnected, up to 10 s old). Messages that they have subscribed to "
                "are queued "
                "for them, %s%s. Remove these sessions, or start the target anew",
                (long long)start->sessions, last,
                marks ? "those of this run too, and memory and CPU time of the target have what that costs"
                      : "and are in the target's memory",
                marks ? "; they are marked as doubtful" : "");
}
