// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary_surroundings.h"

#include "loadgen/connects.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

// -1 when it is not known.
static int64_t growth(int64_t before, int64_t after)
{
    return before >= 0 && after >= before ? after - before : -1;
}

// null: it was not known.
static json_t *count_json(int64_t count)
{
    return count >= 0 ? json_integer((json_int_t)count) : json_null();
}

static json_t *network_json(const struct netstat *netstat)
{
    json_t *json = json_object();
    for (int i = 0; i < NETSTAT_COUNT; i++)
        json_object_set_new(json, netstat_name((enum netstat_count)i), count_json(netstat->count[i]));
    return json;
}

static json_t *quota_json(const struct cgroup *cgroup)
{
    return json_pack("{s:o,s:o}", "throttled_periods", count_json(cgroup->throttled_periods), "throttled_ns",
                     count_json(cgroup->throttled_ns));
}

// The kernel's counters as they were read at the start and at the end: the figures are their growth, and verify makes it again.
static void keep(struct run *run, const char *name, json_t *start, json_t *end)
{
    char path[48];
    json_t *both = json_pack("{s:o,s:o}", "start", start, "end", end);
    snprintf(path, sizeof path, "surroundings.%s", name);
    if (run->record)
        record_set(run->record, path, both);
    else
        json_decref(both);
}

static void add_network(struct surroundings *surroundings, struct summary *summary, struct run *run)
{
    struct netstat now, target_now = {{0}};
    int64_t grew[NETSTAT_COUNT];
    const char *where = surroundings->has_target_net ? "the target's network namespace and the generator's"
                                                     : "this network namespace";
    netstat_read(&now, 0);
    keep(run, "network", network_json(&surroundings->net), network_json(&now));
    if (surroundings->has_target_net) {
        netstat_read(&target_now, (pid_t)surroundings->pids[0]);
        keep(run, "target_network", network_json(&surroundings->target_net), network_json(&target_now));
    }
    for (int i = 0; i < NETSTAT_COUNT; i++) {
        grew[i] = growth(surroundings->net.count[i], now.count[i]);
        int64_t more = growth(surroundings->target_net.count[i], target_now.count[i]);
        if (surroundings
                ->has_target_net) // of a target that has ended nothing is known, and the rest is not the sum
            grew[i] = grew[i] >= 0 && more >= 0 ? grew[i] + more : -1;
        char name[48];
        snprintf(name, sizeof name, "network.%s", netstat_name((enum netstat_count)i));
        summary_add(summary, name, grew[i] >= 0 ? (double)grew[i] : NAN, "1", "none");
        if (grew[i] < 0)
            snprintf(summary->rows[summary->count - 1].why, sizeof summary->rows[0].why,
                     "the kernel's counter could not be read");
    }
    if (grew[NETSTAT_LISTEN_OVERFLOWS] < 0 || grew[NETSTAT_SYN_RETRANSMITS] < 0)
        run_anomaly(run, "network_unknown",
                    "whether accept queues overflowed or SYNs were sent again is not known: the kernel's "
                    "counters of %s "
                    "could not be read at the start or the end (/proc/PID/net/netstat). Connect latencies "
                    "near 1, 3 or 7 s may be of that, not of the "
                    "target's work",
                    where);
    // They are of the whole namespace. Where all connects were done before such a packet comes again, none was of this run.
    bool dropped = grew[NETSTAT_LISTEN_OVERFLOWS] > 0 || grew[NETSTAT_LISTEN_DROPS] > 0;
    if (dropped && connects_missed(run, CONNECTS_ACK_NS))
        run_anomaly(
            run, "accept_queue",
            "%lld handshakes met a full accept queue, or were dropped by a listener. The kernel counts that "
            "for "
            "all listeners of %s, the target's and any other's. It lets such a client try again after 1, 3, "
            "7 s: "
            "connect latencies of that size are of the queue (if it is the target's: its backlog, at most "
            "net.core.somaxconn), not of the target's work",
            (long long)(grew[NETSTAT_LISTEN_DROPS] > grew[NETSTAT_LISTEN_OVERFLOWS]
                            ? grew[NETSTAT_LISTEN_DROPS]
                            : grew[NETSTAT_LISTEN_OVERFLOWS]),
            where);
    else if (grew[NETSTAT_SYN_RETRANSMITS] > 0 && connects_missed(run, CONNECTS_SYN_NS))
        run_anomaly(run, "retransmits",
                    "%lld SYNs were sent again, the first after a second, by all clients of %s: connect "
                    "latencies of that size "
                    "are of packets that were lost or dropped, not of the target's work",
                    (long long)grew[NETSTAT_SYN_RETRANSMITS], where);
}

static void add_throttling(struct summary *summary, struct run *run, const char *name, const char *who,
                           int64_t periods, int64_t ns, double quota)
{
    if (periods < 0)
        return;
    if (ns >= 0)
        summary_add(summary, name, (double)ns, "ns", "none");
    if (periods > 0)
        run_anomaly(run, "throttled",
                    "%s was throttled: in %lld periods its control group had used up its quota (%.3g "
                    "processors), and "
                    "stood still for %.3f s. Latencies and rates are those of the quota",
                    who, (long long)periods, quota, ns >= 0 ? (double)ns / 1e9 : 0.0);
}

static void add_quotas(struct surroundings *surroundings, struct summary *summary, struct run *run)
{
    struct cgroup now;
    cgroup_read(&now, "", getpid());
    keep(run, "generator", quota_json(&surroundings->generator), quota_json(&now));
    add_throttling(summary, run, "generator.throttled_ns", "the generator",
                   growth(surroundings->generator.throttled_periods, now.throttled_periods),
                   growth(surroundings->generator.throttled_ns, now.throttled_ns), now.cpu_quota_cores);
    // Several targets may be in one group: report the target that was throttled most often.
    int64_t periods = -1, ns = -1;
    double quota = -1;
    json_t *start = NULL, *end = NULL;
    for (int i = 0; i < surroundings->target_count; i++) {
        surroundings_throttling(surroundings, i, &now);
        int64_t more = growth(surroundings->targets[i].throttled_periods, now.throttled_periods);
        if (more <= periods)
            continue;
        periods = more;
        ns = growth(surroundings->targets[i].throttled_ns, now.throttled_ns);
        quota = surroundings->groups[i].periods > 0 ? surroundings->groups[i].last.cpu_quota_cores
                                                    : now.cpu_quota_cores;
        json_decref(start);
        json_decref(end);
        start = quota_json(&surroundings->targets[i]);
        end = quota_json(&now);
    }
    if (start)
        keep(run, "target", start, end);
    add_throttling(summary, run, "cpu.throttled_ns", "the target", periods, ns, quota);
}

// Of the watched process that was moved most often.
static void tell_moves(const struct surroundings *surroundings, struct run *run)
{
    int most = -1;
    for (int i = 0; i < surroundings->target_count; i++)
        if (surroundings->groups[i].moves > 0 &&
            (most < 0 || surroundings->groups[i].moves > surroundings->groups[most].moves))
            most = i;
    if (most < 0)
        return;
    const struct surroundings_group *group = &surroundings->groups[most];
    run_anomaly(run, "moved",
                "the watched process %lld was moved to another control group during the run (%s; %d move%s "
                "seen, it is looked at once a second): throttling by a quota there is known from the "
                "first look on that found it there, and the limits of both groups are in the figures",
                (long long)surroundings->pids[most], group->other, group->moves,
                group->moves == 1 ? "" : "s");
}

void summary_add_surroundings(struct summary *summary, struct run *run)
{
    struct surroundings *surroundings = &run->surroundings;
    surroundings_look(surroundings);
    add_network(surroundings, summary, run);
    add_quotas(surroundings, summary, run);
    tell_moves(surroundings, run);
    if (run->strangers.idle_share >= 0)
        summary_add(summary, "cpu.idle_share", run->strangers.idle_share, "1", "none");
    if (run->strangers.idle_share >= 0 && run->record) // verify knows by it that there were pauses
        record_set(run->record, "summary.idle_share", json_real(run->strangers.idle_share));
    if (surroundings->steps > 0)
        run_anomaly(
            run, "clock",
            "the wall clock was set %d times during the run, by %+.3f s in all: the times in the record "
            "count from its start by the monotonic clock, which nobody sets",
            surroundings->steps, (double)surroundings->stepped_ns / 1e9);
}
