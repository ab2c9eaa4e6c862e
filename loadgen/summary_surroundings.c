// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary_surroundings.h"

#include <stdio.h>
#include <unistd.h>

// -1 when it is not known.
static int64_t growth(int64_t before, int64_t after)
{
    return before >= 0 && after >= before ? after - before : -1;
}

static void add_network(struct surroundings *surroundings, struct summary *summary, struct run *run)
{
    struct netstat now, target_now = {{0}};
    int64_t grew[NETSTAT_COUNT];
    netstat_read(&now, 0);
    if (surroundings->has_target_net)
        netstat_read(&target_now, (pid_t)surroundings->pids[0]);
    for (int i = 0; i < NETSTAT_COUNT; i++) {
        grew[i] = growth(surroundings->net.count[i], now.count[i]);
        int64_t more = growth(surroundings->target_net.count[i], target_now.count[i]);
        if (surroundings->has_target_net && grew[i] >= 0 && more >= 0)
            grew[i] += more;
        char name[48];
        snprintf(name, sizeof name, "network.%s", netstat_name((enum netstat_count)i));
        if (grew[i] >= 0)
            summary_add(summary, name, (double)grew[i], "1", "none");
    }
    const char *where = surroundings->has_target_net ? "the target's network namespace and the generator's"
                                                     : "this network namespace";
    if (grew[NETSTAT_LISTEN_OVERFLOWS] > 0 || grew[NETSTAT_LISTEN_DROPS] > 0)
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
    else if (grew[NETSTAT_SYN_RETRANSMITS] > 0)
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
    add_throttling(summary, run, "generator.throttled_ns", "the generator",
                   growth(surroundings->generator.throttled_periods, now.throttled_periods),
                   growth(surroundings->generator.throttled_ns, now.throttled_ns), now.cpu_quota_cores);
    // Several targets may be in one group: report the target that was throttled most often.
    int64_t periods = -1, ns = -1;
    double quota = -1;
    for (int i = 0; i < surroundings->target_count; i++) {
        cgroup_read(&now, "", (pid_t)surroundings->pids[i]);
        int64_t more = growth(surroundings->targets[i].throttled_periods, now.throttled_periods);
        if (more <= periods)
            continue;
        periods = more;
        ns = growth(surroundings->targets[i].throttled_ns, now.throttled_ns);
        quota = now.cpu_quota_cores;
    }
    add_throttling(summary, run, "cpu.throttled_ns", "the target", periods, ns, quota);
}

void summary_add_surroundings(struct summary *summary, struct run *run)
{
    struct surroundings *surroundings = &run->surroundings;
    surroundings_look(surroundings);
    add_network(surroundings, summary, run);
    add_quotas(surroundings, summary, run);
    if (run->strangers.idle_share >= 0)
        summary_add(summary, "cpu.idle_share", run->strangers.idle_share, "1", "none");
    if (surroundings->steps > 0)
        run_anomaly(
            run, "clock",
            "the wall clock was set %d times during the run, by %+.3f s in all: the times in the record "
            "count from its start by the monotonic clock, which nobody sets",
            surroundings->steps, (double)surroundings->stepped_ns / 1e9);
}
