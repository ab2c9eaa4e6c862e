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
#include <unistd.h>

enum {
    KERNEL_END_BYTES = 5100, // half of KERNEL_BYTES in scripts/python/poolmark/facts/host.py
    SPARE_BYTES = 256 << 20, // left to everything else
    SPARE_FILES = 10000,
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

void room_facts_read(struct room_facts *facts)
{
    *facts = (struct room_facts){.memory_bytes = memory_available(),
                                 .file_max = first_number("/proc/sys/fs/file-max"),
                                 .files = first_number("/proc/sys/fs/file-nr"),
                                 .processors = host_cores()};
}

static bool is_least(struct room *room, int64_t clients, const char *by)
{
    if (clients >= room->clients)
        return false;
    room->clients = clients > 0 ? clients : 0;
    snprintf(room->by, sizeof room->by, "%s", by);
    return true;
}

void room_judge(struct room *room, const struct room_facts *facts, const struct engine *engine,
                int64_t wanted)
{
    *room = (struct room){.clients = INT64_MAX};
    int64_t each = KERNEL_END_BYTES + engine->client_bytes;
    int64_t base = SPARE_BYTES + facts->processors * engine->process_bytes;
    char has[24], needs[24];
    if (facts->memory_bytes >= 0 && is_least(room, (facts->memory_bytes - base) / each, "memory")) {
        units_format_bytes(facts->memory_bytes, has, sizeof has);
        units_format_bytes(base + wanted * each, needs, sizeof needs);
        snprintf(room->text, sizeof room->text, "%s are available, %s are needed (%lld B a client)", has,
                 needs, (long long)each);
        snprintf(room->mend, sizeof room->mend,
                 "--share fit, fewer --connections, or a host with %s free (docs/capacity.md)", needs);
    }
    if (facts->file_max >= 0 && facts->files >= 0 &&
        is_least(room, facts->file_max - facts->files - SPARE_FILES, "open files of the system")) {
        snprintf(room->text, sizeof room->text, "fs.file-max is %lld, and %lld files are open",
                 (long long)facts->file_max, (long long)facts->files);
        snprintf(room->mend, sizeof room->mend, "sudo sysctl -w fs.file-max=%lld",
                 (long long)(wanted + facts->files + SPARE_FILES));
    }
}
