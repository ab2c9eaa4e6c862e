// SPDX-License-Identifier: Apache-2.0
#include "loadgen/summary_ceilings.h"

#include "base/sockdiag.h"
#include "loadgen/connects.h"
#include "loadgen/engine.h"
#include "loadgen/listeners.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// 0 when it is not known.
static int64_t growth(int64_t before, int64_t after)
{
    return before >= 0 && after > before ? after - before : 0;
}

static int64_t grown(const struct surroundings *start, const struct netstat now[2], enum netstat_count what)
{
    return growth(start->net.count[what], now[0].count[what]) +
           (start->has_target_net ? growth(start->target_net.count[what], now[1].count[what]) : 0);
}

// Whether a connect to the first target is refused. On a loopback the answer is there at once; without one in
// a second it is not refused.
static bool is_refused(const struct plan *plan)
{
    const struct plan_target *target = &plan->targets[0];
    int error = 0, fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (plan->target_count == 0 || fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)&target->address, target->address_bytes) < 0)
        error = errno;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    socklen_t bytes = sizeof error;
    if (error == EINPROGRESS && poll(&wait, 1, 1000) == 1)
        (void)!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    close(fd);
    return error == ECONNREFUSED;
}

// The least of all workers: somebody may have changed one.
static int64_t worker_limit(const struct run *run)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int count = run_fleets(run, fleets);
    int64_t least = -1;
    for (int i = 0; i < count; i++)
        for (int worker = 0; worker < fleet_workers(fleets[i]); worker++) {
            struct rlimit limit;
            pid_t pid = fleet_pid(fleets[i], worker);
            if (pid > 0 && prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == 0 && limit.rlim_cur < INT64_MAX &&
                (least < 0 || (int64_t)limit.rlim_cur < least))
                least = (int64_t)limit.rlim_cur;
        }
    return least;
}

static int64_t killed_workers(const struct run *run)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int64_t killed = 0;
    int count = run_fleets(run, fleets);
    for (int i = 0; i < count; i++)
        killed += fleet_killed(fleets[i]);
    return killed;
}

static bool is_harmed(const struct run *run)
{
    static const enum tally_count lost[] = {TALLY_LOST,       TALLY_NOT_SENT,        TALLY_UNACKED,
                                            TALLY_UNFINISHED, TALLY_CONNECT_RETRIES, TALLY_CONNECT_UNFINISHED,
                                            TALLY_CORRUPT,    TALLY_ARRIVAL_RETRIES};
    bool harmed = run_is_broken(run) || tally_failed(&run->tally) + tally_dropped(&run->tally) > 0 ||
                  tally_failed(&run->probe_tally) + tally_dropped(&run->probe_tally) > 0;
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
        harmed = harmed || run->tally.count[lost[i]] > 0;
    return harmed;
}

struct backlogs {
    const struct listeners *found;
    int64_t least;
};

static void visit_listener(void *context, const struct sockdiag_row *row)
{
    struct backlogs *backlogs = context;
    for (int i = 0; i < backlogs->found->count; i++)
        if (backlogs->found->list[i].inode == row->inode && row->backlog >= 0 &&
            (backlogs->least < 0 || row->backlog < backlogs->least))
            backlogs->least = row->backlog;
}

// The smallest of the listeners at the targets, as far as they are in this network namespace; -1: not known.
static int64_t backlog_of(const struct run *run)
{
    static struct listeners found; // of the parent's one thread
    struct backlogs backlogs = {.found = &found, .least = -1};
    listeners_find(&found, &run->plan, run->config->watch_pids, run->config->watch.count);
    return sockdiag_listeners(visit_listener, &backlogs) < 0 ? -1 : backlogs.least;
}

void summary_add_ceilings(struct summary *summary, struct run *run)
{
    const struct surroundings *start = &run->surroundings;
    struct netstat now[2];
    struct cgroup group;
    struct ceiling_facts facts;
    netstat_read(&now[0], 0);
    if (start->has_target_net)
        netstat_read(&now[1], (pid_t)start->pids[0]);
    cgroup_read(&group, "", getpid());
    ceilings_read(&run->ceilings, &facts);
    facts.tally = run->tally;
    facts.routes = run->plan.target_count * (run->plan.source_count > 0 ? run->plan.source_count : 1);
    facts.worker_limit = worker_limit(run);
    facts.raw = strcmp(run->config->engine->name, "raw") == 0;
    facts.slowest_connect_ns = connects_slowest_ns(run);
    facts.missed_syns = connects_missed(run, CONNECTS_SYN_NS);
    facts.harmed = is_harmed(run);
    out_of_memory_of_workers(&run->ceilings.memory, killed_workers(run), &facts.worker_death);
    out_of_memory_of_target(&run->ceilings.memory, &run->targets, &facts.target_death);
    facts.refused = run->tally.failed[REASON_UNTOLD] > 0 && is_refused(&run->plan);
    facts.overflows = grown(start, now, NETSTAT_LISTEN_OVERFLOWS);
    if (facts.overflows > 0)
        facts.backlog = backlog_of(run);
    facts.tcp_pressures = grown(start, now, NETSTAT_TCP_PRESSURES);
    facts.tcp_aborts = grown(start, now, NETSTAT_TCP_MEMORY_ABORTS);
    facts.throttled_periods = growth(start->generator.throttled_periods, group.throttled_periods);
    summary->ceiling_count = ceilings_judge(&facts, summary->ceilings);
    for (int i = 0; i < summary->ceiling_count; i++)
        run_anomaly(run, "ceiling", "%s: %s. Mend it: %s", summary->ceilings[i].name,
                    summary->ceilings[i].text, summary->ceilings[i].mend);
    if (run->record && summary->ceiling_count > 0)
        record_set(run->record, "summary.ceilings", summary_ceilings_json(summary));
}

json_t *summary_ceilings_json(const struct summary *summary)
{
    json_t *list = json_array();
    for (int i = 0; i < summary->ceiling_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", summary->ceilings[i].name, "text",
                                              summary->ceilings[i].text, "mend", summary->ceilings[i].mend));
    return list;
}
