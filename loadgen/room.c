// SPDX-License-Identifier: Apache-2.0
#include "loadgen/room.h"

#include "base/cgroup.h"
#include "base/host.h"
#include "base/text_file.h"
#include "base/units.h"
#include "loadgen/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    KERNEL_END_BYTES = 5100, // half of KERNEL_BYTES in scripts/python/poolmark/facts/host.py
    SPARE_BYTES = 256 << 20, // left to everything else
    SPARE_FILES = 10000,
    SPARE_PROCESSES = 100,
    // A rank besides its workers, with Debian 12's OpenMPI: the relay, the generator, and a host's daemon of mpirun, as if each
    // rank had one. Of four ranks 22 MiB, 9 threads and 58 files each were measured; more ranks have more sockets.
    RANK_BYTES = 32 << 20,
    RANK_FILES = 150,
    RANK_PROCESSES = 12, // and threads
    TEXT_BYTES = 8192,
};

static int64_t first_number(const char *path)
{
    char text[256];
    return text_file_read(path, text, sizeof text) > 0 ? strtoll(text, NULL, 10) : -1;
}

// The control group's limit less what it has, where that is less than the memory available.
static int64_t memory_available(void)
{
    char text[TEXT_BYTES], folder[4096], path[4200];
    int64_t kilobytes, available = -1;
    if (text_file_read("/proc/meminfo", text, sizeof text) > 0 &&
        text_file_number(text, "MemAvailable:", &kilobytes) == 0)
        available = kilobytes * 1024;
    struct cgroup group;
    bool unified;
    cgroup_read(&group, "", getpid());
    if (group.memory_limit_bytes < 0 ||
        cgroup_memory_folder(folder, sizeof folder, &unified, "", getpid()) == 0)
        return available;
    snprintf(path, sizeof path, "%s/%s", folder, unified ? "memory.current" : "memory.usage_in_bytes");
    int64_t used = first_number(path), room = group.memory_limit_bytes - (used > 0 ? used : 0);
    return available < 0 || room < available ? (room > 0 ? room : 0) : available;
}

static int64_t lesser(int64_t a, int64_t b) // -1: not known
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

// By the control groups, the system, and the limit of the user, which root does not have.
static int64_t processes_left(void)
{
    char text[256];
    struct cgroup group;
    struct rlimit own;
    int64_t running = -1, system = lesser(first_number("/proc/sys/kernel/threads-max"),
                                          first_number("/proc/sys/kernel/pid_max"));
    if (text_file_read("/proc/loadavg", text, sizeof text) > 0 && strchr(text, '/'))
        running = strtoll(strchr(text, '/') + 1, NULL, 10);
    if (system >= 0)
        system = system > running ? system - (running > 0 ? running : 0) : 0;
    cgroup_read(&group, "", getpid());
    int64_t left = lesser(system, group.pids_left);
    if (geteuid() != 0 && getrlimit(RLIMIT_NPROC, &own) == 0 && own.rlim_cur != RLIM_INFINITY)
        left = lesser(left, (int64_t)own.rlim_cur);
    return left;
}

void room_facts_read(struct room_facts *facts)
{
    *facts = (struct room_facts){.memory_bytes = memory_available(),
                                 .file_max = first_number("/proc/sys/fs/file-max"),
                                 .files = first_number("/proc/sys/fs/file-nr"),
                                 .processors = host_cores(),
                                 .processes = processes_left()};
}

static bool is_least(struct room *room, int64_t clients, const char *by)
{
    if (clients >= room->clients)
        return false;
    room->clients = clients > 0 ? clients : 0;
    snprintf(room->by, sizeof room->by, "%s", by);
    return true;
}

static int64_t times(int64_t count, int64_t each)
{
    return count > INT64_MAX / each ? INT64_MAX : count * each;
}

static void judge_memory(struct room *room, const struct room_facts *facts, const struct room_asked *asked)
{
    const struct engine *engine = asked->engine;
    int64_t each = KERNEL_END_BYTES + engine->client_bytes;
    int64_t workers = asked->workers > 0 ? asked->workers : facts->processors;
    int64_t base = SPARE_BYTES + asked->ranks * (RANK_BYTES + workers * engine->process_bytes);
    char has[24], needs[24], ranks[24];
    if (asked->workers == 0 && engine->clients > 0) // more clients have more workers
        each += (engine->process_bytes + engine->clients - 1) / engine->clients;
    if (facts->memory_bytes < 0 || !is_least(room, (facts->memory_bytes - base) / each, "memory"))
        return;
    units_format_bytes(facts->memory_bytes, has, sizeof has);
    units_format_bytes(base + asked->clients * each, needs, sizeof needs);
    units_format_bytes(base - SPARE_BYTES, ranks, sizeof ranks);
    snprintf(room->text, sizeof room->text,
             "%s are available, %s are needed (%lld B a client, %s for %lld rank%s and its workers, 256 MiB "
             "spare)",
             has, needs, (long long)each, ranks, (long long)asked->ranks, asked->ranks == 1 ? "" : "s");
    snprintf(room->mend, sizeof room->mend,
             "--share fit, fewer --connections, or a host with %s free (docs/capacity.md)", needs);
}

static void judge_files(struct room *room, const struct room_facts *facts, const struct room_asked *asked)
{
    int64_t base = SPARE_FILES + asked->ranks * RANK_FILES;
    if (facts->file_max < 0 || facts->files < 0 ||
        !is_least(room, facts->file_max - facts->files - base, "open files of the system"))
        return;
    snprintf(room->text, sizeof room->text, "fs.file-max is %lld, and %lld files are open",
             (long long)facts->file_max, (long long)facts->files);
    snprintf(room->mend, sizeof room->mend, "sudo sysctl -w fs.file-max=%lld",
             (long long)(asked->clients + facts->files + base));
}

static void judge_processes(struct room *room, const struct room_facts *facts, const struct room_asked *asked)
{
    const struct engine *engine = asked->engine;
    int64_t threads = engine->process_threads > 0 ? engine->process_threads : 1;
    int64_t base = SPARE_PROCESSES + asked->ranks * RANK_PROCESSES, clients, needs;
    if (facts->processes < 0)
        return;
    if (asked->workers > 0) { // so many, however many clients they have
        needs = base + asked->ranks * asked->workers * threads;
        clients = needs <= facts->processes ? INT64_MAX : 0;
    } else {
        int64_t each = engine->clients > 0 ? engine->clients : 1;
        int64_t workers = (facts->processes - base) / threads;
        clients = workers > 0 ? times(workers, each) : 0;
        needs = base + (asked->clients + each - 1) / each * threads;
    }
    if (!is_least(room, clients, "processes"))
        return;
    snprintf(room->text, sizeof room->text,
             "%lld processes and threads may still be started, and %lld are needed, with those of the ranks "
             "and %d spare",
             (long long)facts->processes, (long long)needs, SPARE_PROCESSES);
    snprintf(room->mend, sizeof room->mend,
             "a greater pids.max of the control group (TasksMax= of a service), or sudo sysctl -w "
             "kernel.pid_max=%lld",
             (long long)(4 * needs > 32768 ? 4 * needs : 32768));
}

void room_judge(struct room *room, const struct room_facts *facts, const struct room_asked *asked)
{
    *room = (struct room){.clients = INT64_MAX};
    judge_memory(room, facts, asked);
    judge_files(room, facts, asked);
    judge_processes(room, facts, asked);
}

json_t *room_describe(void)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "client_kernel_bytes", KERNEL_END_BYTES,
                     "spare_bytes", SPARE_BYTES, "spare_files", SPARE_FILES, "spare_processes",
                     SPARE_PROCESSES, "rank_bytes", RANK_BYTES, "rank_files", RANK_FILES, "rank_processes",
                     RANK_PROCESSES, "process_files", ENGINE_OWN_DESCRIPTORS);
}
