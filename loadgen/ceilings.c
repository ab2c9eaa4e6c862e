// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ceilings.h"

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/text_file.h"
#include "base/units.h"
#include "loadgen/ports.h"

#include <dirent.h>
#include <sys/stat.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SOON_NS (100 * NS_PER_MS)
#define FULL 0.95 // a table that was so full may have been full between two readings

enum { TEXT_SIZE = 16384, SOMAXCONN_USUAL = 4096 };

// --- the watch ---------------------------------------------------------------------------------------------

// The nth number (from 0) of a file; -1 when it cannot be read.
static int64_t number_of(const char *path, int nth)
{
    char text[256];
    if (text_file_read(path, text, sizeof text) < 0)
        return -1;
    char *at = text;
    int64_t value = -1;
    for (int i = 0; i <= nth; i++) {
        char *end;
        value = strtoll(at, &end, 10);
        if (end == at)
            return -1;
        at = end;
    }
    return value;
}

// The number after `word` on the line of sockstat that begins with TCP: -1 when it cannot be read.
static int64_t sockstat(const char *word)
{
    char text[1024];
    if (text_file_read("/proc/net/sockstat", text, sizeof text) < 0)
        return -1;
    char *line = strstr(text, "TCP:");
    char *end = line ? strchr(line, '\n') : NULL;
    if (!end)
        return -1;
    *end = '\0';
    char *at = strstr(line, word);
    return at ? strtoll(at + strlen(word), NULL, 10) : -1;
}

// Every user may read the limits of every process there; prlimit gives those of other users to root only.
static int64_t nofile_of(int64_t pid)
{
    char path[64], text[TEXT_SIZE];
    int64_t limit;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/limits", pid > 0 ? pid : (int64_t)getpid());
    return text_file_read(path, text, sizeof text) > 0 &&
                   text_file_number(text, "Max open files ", &limit) == 0
               ? limit
               : -1;
}

static int64_t open_files_of(int64_t pid)
{
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/fd", pid);
    // Linux 6.2 and later say their number so. To list them makes an inode and a name for each, in kernel memory.
    if (stat(path, &facts) == 0 && facts.st_size > 0)
        return facts.st_size;
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    int64_t count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2; // . and ..
}

static void look_at_targets(struct ceilings *ceilings)
{
    for (int i = 0; i < ceilings->target_count; i++) {
        int64_t files = open_files_of(ceilings->pids[i]), limit = nofile_of(ceilings->pids[i]);
        if (files < 0 || limit <= 0)
            continue;
        if (ceilings->target_limit > 0 &&
            (double)files / (double)limit <= (double)ceilings->target_files / (double)ceilings->target_limit)
            continue;
        ceilings->target_files = files;
        ceilings->target_limit = limit;
    }
}

static void keep(int64_t *most, int64_t value)
{
    if (value > *most)
        *most = value;
}

void ceilings_start(struct ceilings *ceilings, const int64_t *pids, int count)
{
    struct cgroup group;
    cgroup_read(&group, "", getpid());
    *ceilings = (struct ceilings){.pids = pids,
                                  .target_count = count,
                                  .files = -1,
                                  .tcp_pages = -1,
                                  .tracked = -1,
                                  .target_files = -1,
                                  .target_limit = -1,
                                  .pids_refused = group.pids_refused};
    out_of_memory_start(&ceilings->memory, pids, count);
}

void ceilings_look(struct ceilings *ceilings, int64_t failures, int64_t now_ns)
{
    int64_t due_ns = failures > ceilings->failures ? SOON_NS : NS_PER_S;
    if (ceilings->looked_ns > 0 && now_ns - ceilings->looked_ns < due_ns)
        return;
    ceilings->looked_ns = now_ns;
    keep(&ceilings->files, number_of("/proc/sys/fs/file-nr", 0));
    keep(&ceilings->tcp_pages, sockstat(" mem "));
    keep(&ceilings->tracked, number_of("/proc/sys/net/netfilter/nf_conntrack_count", 0));
    if (failures > ceilings->failures) { // counting descriptors takes a while
        look_at_targets(ceilings);
        out_of_memory_look(&ceilings->memory);
    }
    ceilings->failures = failures;
}

static int64_t grown(int64_t before, int64_t now)
{
    return now < 0 ? -1 : now - (before > 0 ? before : 0);
}

void ceilings_read(const struct ceilings *ceilings, struct ceiling_facts *facts)
{
    struct cgroup group;
    cgroup_read(&group, "", getpid());
    *facts = (struct ceiling_facts){
        .port_low = number_of("/proc/sys/net/ipv4/ip_local_port_range", 0),
        .port_high = number_of("/proc/sys/net/ipv4/ip_local_port_range", 1),
        .routes = 1,
        .time_wait = sockstat(" tw "),
        .worker_limit = nofile_of(0),
        .files = ceilings->files,
        .file_max = number_of("/proc/sys/fs/file-max", 0),
        .target_files = ceilings->target_files,
        .target_limit = ceilings->target_limit,
        .somaxconn = number_of("/proc/sys/net/core/somaxconn", 0),
        .tcp_pages = ceilings->tcp_pages,
        .tcp_max_pages = number_of("/proc/sys/net/ipv4/tcp_mem", 2),
        .tracked = ceilings->tracked,
        .tracked_max = number_of("/proc/sys/net/netfilter/nf_conntrack_max", 0),
        .pids_limit = group.pids_limit,
        .pids_refused = grown(ceilings->pids_refused, group.pids_refused),
        .memory_limit_bytes = group.memory_limit_bytes,
        .quota_cores = group.cpu_quota_cores,
        .quota_unified = group.cpu_unified,
        .backlog = -1,
    };
    if (facts->port_low >= 0)
        facts->ports_reserved = ports_reserved(facts->port_low, facts->port_high);
}

// --- the verdict -------------------------------------------------------------------------------------------

struct notes {
    struct ceiling_note *list;
    int count;
};

__attribute__((format(printf, 3, 4))) static void note(struct notes *notes, const char *name,
                                                       const char *format, ...)
{
    struct ceiling_note *one = &notes->list[notes->count++];
    *one = (struct ceiling_note){.name = name};
    va_list list;
    va_start(list, format);
    vsnprintf(one->text, sizeof one->text, format, list);
    va_end(list);
}

__attribute__((format(printf, 2, 3))) static void mend(struct notes *notes, const char *format, ...)
{
    struct ceiling_note *one = &notes->list[notes->count - 1];
    va_list list;
    va_start(list, format);
    vsnprintf(one->mend, sizeof one->mend, format, list);
    va_end(list);
}

static bool is_full(int64_t used, int64_t limit)
{
    return used > 0 && limit > 0 && (double)used >= (double)limit * FULL;
}

// A library does not say why it could not connect. Then ports are told when all of them were in use or waited.
static void judge_ports(struct notes *notes, const struct ceiling_facts *facts)
{
    int64_t ports = facts->port_high - facts->port_low + 1 - facts->ports_reserved,
            all = ports * facts->routes;
    int64_t failed = facts->tally.failed[REASON_NO_PORT],
            waiting = facts->time_wait > 0 ? facts->time_wait : 0;
    const char *how = "found no local port";
    // Waiting sockets may be of any program and address, and the connects may have failed because nobody listens.
    if (failed == 0 && !facts->refused &&
        (is_full(facts->tally.count[TALLY_CONNECTED], all) || is_full(waiting, all))) {
        failed = facts->tally.failed[REASON_UNTOLD];
        how = "failed, the library does not say why, while all local ports were in use";
    }
    if (failed == 0 || facts->port_low < 0)
        return;
    char reserved[48] = "";
    if (facts->ports_reserved > 0)
        snprintf(reserved, sizeof reserved, ", %" PRId64 " of them reserved", facts->ports_reserved);
    note(notes, "ports",
         "%" PRId64 " connects %s: there are %" PRId64 " (%" PRId64 " to %" PRId64 "%s) for each of %" PRId64
         " routes (source and target address), and %" PRId64 " sockets are in TIME-WAIT",
         failed, how, ports, facts->port_low, facts->port_high, reserved, facts->routes, waiting);
    if (facts->ports_reserved > ports)
        mend(notes, "fewer in net.ipv4.ip_local_reserved_ports, or more addresses by --target or --source");
    else if (ports < PORTS_WIDE)
        mend(notes,
             "sudo sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", or more addresses by --target "
             "or --source");
    else
        mend(notes, "more addresses: --target several times, or --source several times (engine raw)");
}

static void judge_descriptors(struct notes *notes, const struct ceiling_facts *facts)
{
    int64_t failed = facts->tally.failed[REASON_NO_DESCRIPTOR];
    if (failed > 0 && is_full(facts->files, facts->file_max)) {
        note(notes, "open_files",
             "%" PRId64 " connects found no descriptor: the system had %" PRId64 " of %" PRId64 " open files",
             failed, facts->files, facts->file_max);
        mend(notes, "sudo sysctl -w fs.file-max=%" PRId64, 2 * facts->file_max);
    } else if (failed > 0) {
        note(notes, "descriptors", "%" PRId64 " connects found no descriptor: a worker may have %" PRId64,
             failed, facts->worker_limit);
        mend(notes, "ulimit -n 1048576 (as root, or LimitNOFILE= of the service), or a smaller "
                    "--clients-per-worker");
    }
    const int64_t *lost = facts->tally.failed, *dropped = facts->tally.dropped;
    bool refused = tally_failed(&facts->tally) > lost[REASON_NO_DESCRIPTOR] + lost[REASON_NO_PORT] ||
                   dropped[REASON_CLOSED] + dropped[REASON_RESET] > 0;
    if (!refused || !is_full(facts->target_files, facts->target_limit))
        return;
    // While it takes one and gives it back, the kernel may count one more.
    note(notes, "target_descriptors",
         "the target had %" PRId64 " of the %" PRId64 " descriptors that it may have when clients were lost",
         facts->target_files < facts->target_limit ? facts->target_files : facts->target_limit,
         facts->target_limit);
    mend(notes, "start the target under a larger limit: ulimit -n 1048576 (as root, or LimitNOFILE= of its "
                "service)");
}

// The queue of the target's listener, where it is known; otherwise one of the namespace.
static void judge_backlog(struct notes *notes, const struct ceiling_facts *facts)
{
    static const char same[] = "and start the target again: a queue keeps the size it began with";
    bool own = facts->backlog >= 0 && facts->backlog < facts->somaxconn;
    if (facts->overflows <= 0 || !facts->missed_syns)
        return;
    char longest[24];
    units_format_duration(facts->slowest_connect_ns, longest, sizeof longest);
    if (own)
        note(notes, "backlog",
             "%" PRId64 " handshakes met a full accept queue, and the longest connect took %s: the target's "
             "holds %" PRId64 ", by its own backlog (net.core.somaxconn would allow %" PRId64 ")",
             facts->overflows, longest, facts->backlog, facts->somaxconn);
    else
        note(notes, "backlog",
             "%" PRId64 " handshakes met a full accept queue, and the longest connect took %s: "
             "net.core.somaxconn bounds it to %" PRId64,
             facts->overflows, longest, facts->somaxconn);
    if (own)
        mend(notes, "a larger backlog in the target, which asks for it when it listens (mosquitto: always "
                    "100; see the target's own settings), or connect at a --rate");
    else if (facts->somaxconn < SOMAXCONN_USUAL)
        mend(notes, "sudo sysctl -w net.core.somaxconn=%d, %s", SOMAXCONN_USUAL, same);
    else if (facts->backlog >= 0)
        mend(notes, "sudo sysctl -w net.core.somaxconn=%" PRId64 ", %s, or connect at a --rate",
             2 * facts->somaxconn, same);
    else
        mend(notes, "ss -ltn shows each listener's own bound (Send-Q) and what waits in it (Recv-Q): the one "
                    "that is full needs a larger backlog, or connect at a --rate");
}

static void judge_network(struct notes *notes, const struct ceiling_facts *facts)
{
    judge_backlog(notes, facts);
    if (facts->harmed && (facts->tcp_pressures > 0 || facts->tcp_aborts > 0 ||
                          is_full(facts->tcp_pages, facts->tcp_max_pages))) {
        char most[80];
        snprintf(most, sizeof most, facts->tcp_max_pages > 0 ? ", of %" PRId64 " (tcp_mem)" : "",
                 facts->tcp_max_pages);
        note(notes, "tcp_memory",
             "the kernel was short of TCP memory %" PRId64 " times and gave up %" PRId64
             " connections for it, or because too many that were closed waited for an answer; it had %" PRId64
             " pages%s",
             facts->tcp_pressures > 0 ? facts->tcp_pressures : 0,
             facts->tcp_aborts > 0 ? facts->tcp_aborts : 0, facts->tcp_pages, most);
        if (facts->tcp_max_pages > 0)
            mend(notes, "sudo sysctl -w net.ipv4.tcp_mem=\"%" PRId64 " %" PRId64 " %" PRId64 "\"",
                 facts->tcp_max_pages, facts->tcp_max_pages * 3 / 2, facts->tcp_max_pages * 2);
        else // the network of a container shows neither
            mend(notes, "on the machine itself: sysctl net.ipv4.tcp_mem net.ipv4.tcp_max_orphans shows the "
                        "bounds; double them");
    }
    if (tally_failed(&facts->tally) > 0 && is_full(facts->tracked, facts->tracked_max)) {
        note(notes, "conntrack",
             "the firewall tracked %" PRId64 " connections, of %" PRId64
             ": it drops the packets of further ones",
             facts->tracked, facts->tracked_max);
        mend(notes, "sudo sysctl -w net.netfilter.nf_conntrack_max=%" PRId64, 2 * facts->tracked_max);
    }
}

// One of this run was killed. `whose`: "a worker of the generator".
static void judge_death(struct notes *notes, const char *name, const char *whose,
                        const struct memory_death *death, const char *fewer)
{
    if (death->killed == 0)
        return;
    if (!death->by_limit) {
        note(notes, name, "the kernel killed %s for want of memory: the machine had none left", whose);
        mend(notes, "%s, or more memory: scripts/poolmark host --connections N", fewer);
        return;
    }
    char bytes[24];
    note(notes, name, "the kernel killed %s for want of memory: its control group may have %s (%s)", whose,
         units_format_bytes(death->limit_bytes, bytes, sizeof bytes), death->file);
    mend(notes, "echo %" PRId64 " | sudo tee %s (%s), or %s", 2 * death->limit_bytes, death->file,
         death->unified ? "MemoryMax= of a service, --memory of a container" : "--memory of a container",
         fewer);
}

static void judge_memory(struct notes *notes, const struct ceiling_facts *facts)
{
    const char *fewer = facts->raw ? "fewer connections" : "fewer connections, or --engine raw";
    judge_death(notes, "memory", "a worker of the generator", &facts->worker_death, fewer);
    judge_death(notes, "target_memory", "the target", &facts->target_death, "fewer connections");
    if (facts->tally.failed[REASON_NO_MEMORY] == 0 || facts->worker_death.killed > 0)
        return;
    note(notes, "memory", "%" PRId64 " connects found no memory for a socket",
         facts->tally.failed[REASON_NO_MEMORY]);
    if (facts->memory_limit_bytes > 0)
        mend(notes, "raise the control group's limit (%" PRId64 " bytes), or %s", facts->memory_limit_bytes,
             fewer);
    else
        mend(notes, "%s, or more memory: scripts/poolmark host --connections N", fewer);
}

static void judge_host(struct notes *notes, const struct ceiling_facts *facts)
{
    if (facts->harmed && facts->pids_refused > 0) {
        note(notes, "processes",
             "the control group refused %" PRId64 " processes or threads: its pids.max is %" PRId64,
             facts->pids_refused, facts->pids_limit);
        mend(notes, "raise pids.max of the control group (TasksMax= of a service, --pids-limit of a "
                    "container), or fewer --workers");
    }
    judge_memory(notes, facts);
    if (facts->throttled_periods > 0) {
        note(notes, "cpu_quota",
             "a CPU quota of %.3g processors stopped the generator in %" PRId64 " periods",
             facts->quota_cores, facts->throttled_periods);
        mend(notes, "raise %s of the control group (CPUQuota= of a service, --cpus of a container)",
             facts->quota_unified ? "cpu.max" : "cpu.cfs_quota_us");
    }
}

int ceilings_judge(const struct ceiling_facts *facts, struct ceiling_note list[CEILING_NOTES_MAX])
{
    struct notes notes = {.list = list};
    judge_ports(&notes, facts);
    judge_descriptors(&notes, facts);
    judge_network(&notes, facts);
    judge_host(&notes, facts);
    return notes.count;
}

const char *ceilings_of_start(int code, char *text, size_t size)
{
    struct cgroup group;
    struct rlimit own;
    cgroup_read(&group, "", getpid());
    const char *bounded = NULL; // by a limit of this process
    if (getrlimit(RLIMIT_DATA, &own) == 0 && own.rlim_cur != RLIM_INFINITY)
        bounded = "data (ulimit -d)";
    else if (getrlimit(RLIMIT_AS, &own) == 0 && own.rlim_cur != RLIM_INFINITY)
        bounded = "address space (ulimit -v)";
    if (bounded && (code == -ENOMEM || code == -EAGAIN))
        snprintf(
            text, size,
            "this process may have %llu bytes of %s, which threads and buffers need: unlimited, or fewer "
            "--workers",
            (unsigned long long)own.rlim_cur, bounded);
    else if (code == -ENOMEM)
        snprintf(text, size, "memory is short: fewer --workers, or scripts/poolmark host --connections N");
    else if (group.pids_limit >= 0 && group.pids_refused > 0)
        snprintf(text, size,
                 "pids.max of the control group is %" PRId64 ": raise it (TasksMax= of a service, "
                 "--pids-limit of a container), or fewer --workers",
                 group.pids_limit);
    else if (geteuid() != 0 && getrlimit(RLIMIT_NPROC, &own) == 0 && own.rlim_cur != RLIM_INFINITY)
        snprintf(text, size,
                 "this user may have %llu processes: ulimit -u 65536 (as root), or fewer --workers",
                 (unsigned long long)own.rlim_cur);
    else
        snprintf(text, size,
                 "the system may have %" PRId64 " threads: sudo sysctl -w kernel.threads-max=%" PRId64
                 " kernel.pid_max=4194304",
                 number_of("/proc/sys/kernel/threads-max", 0),
                 2 * number_of("/proc/sys/kernel/threads-max", 0));
    return text;
}
