// SPDX-License-Identifier: Apache-2.0
// Fields: proc(5). Reading smaps_rollup walks the page tables of the process under the lock of its address
// space.
#include "base/procmem.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_SIZE = 4096, KIB = 1024 };

static ssize_t read_of(pid_t pid, const char *name, char text[static TEXT_SIZE])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return text_file_read(path, text, TEXT_SIZE);
}

// Reads a file that every kernel has for every process: if it is absent, the process is gone.
static ssize_t read_always(pid_t pid, const char *name, char text[static TEXT_SIZE])
{
    ssize_t n = read_of(pid, name, text);
    return n == -ENOENT ? -ESRCH : n;
}

// "label  12 kB" in bytes; 0 when a kernel does not have the line.
static int64_t kib_line(const char *text, const char *label)
{
    int64_t kib = 0;
    return text_file_number(text, label, &kib) == 0 ? kib * KIB : 0;
}

// The clock has nanoseconds; stat's ticks are 10 ms. A process that has ended and was not yet waited for has
// only ticks.
static int64_t cpu_of(pid_t pid, int64_t ticks)
{
    clockid_t id;
    struct timespec used;
    if (clock_getcpuclockid(pid, &id) == 0 && clock_gettime(id, &used) == 0) {
        return (int64_t)used.tv_sec * NS_PER_S + used.tv_nsec;
    }
    return ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static int read_stat(pid_t pid, struct procmem *mem)
{
    char text[TEXT_SIZE];
    ssize_t n = read_always(pid, "stat", text);
    if (n < 0) {
        return (int)n;
    }
    // The second field is the program's name, in parentheses, and may hold anything.
    const char *after = strrchr(text, ')');
    char state;
    int64_t user_ticks, system_ticks;
    if (!after ||
        sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %" SCNd64 " %*d %" SCNd64 " %*d %" SCNd64 " %" SCNd64,
               &state, &mem->minor_faults, &mem->major_faults, &user_ticks, &system_ticks) != 5) {
        return -EPROTO;
    }
    if (state == 'Z' || state == 'X') {
        return -ESRCH; // it has no memory any more: 0 would look like a figure
    }
    mem->cpu_ns = cpu_of(pid, user_ticks + system_ticks);
    return 0;
}

static int read_statm(pid_t pid, struct procmem *mem)
{
    char text[TEXT_SIZE];
    ssize_t n = read_always(pid, "statm", text);
    if (n < 0) {
        return (int)n;
    }
    int64_t pages;
    if (sscanf(text, "%*d %" SCNd64, &pages) != 1) {
        return -EPROTO;
    }
    mem->rss_bytes = pages * sysconf(_SC_PAGESIZE);
    return 0;
}

static int read_rollup(pid_t pid, struct procmem *mem)
{
    char text[TEXT_SIZE];
    ssize_t n = read_of(pid, "smaps_rollup", text);
    if (n < 0) {
        return (int)n;
    }
    mem->rss_bytes = kib_line(text, "Rss:");
    mem->pss_bytes = kib_line(text, "Pss:");
    // Private_* also counts pages of a file that only this process has mapped, such as its own program, until
    // another process maps them. Anonymous memory does not depend on others, but after a fork some of it is
    // shared. So private memory is the smaller of the two.
    int64_t alone = kib_line(text, "Private_Clean:") + kib_line(text, "Private_Dirty:");
    int64_t anonymous = kib_line(text, "Anonymous:");
    mem->private_bytes = (anonymous < alone ? anonymous : alone) + kib_line(text, "Private_Hugetlb:");
    mem->swap_bytes = kib_line(text, "Swap:");
    int64_t kib;
    if (text_file_number(text, "Pss_Shmem:", &kib) == 0) {
        mem->shared_bytes = kib * KIB;
    }
    return 0;
}

// Page tables and shared memory, from a file that every user may read.
static int read_status(pid_t pid, struct procmem *mem)
{
    char text[TEXT_SIZE];
    ssize_t n = read_always(pid, "status", text);
    if (n < 0) {
        return (int)n;
    }
    mem->page_table_bytes = kib_line(text, "VmPTE:");
    mem->shared_bytes = kib_line(text, "RssShmem:");
    return 0;
}

int procmem_read_quick(pid_t pid, struct procmem *mem)
{
    struct procmem read = {
        .pss_bytes = -1, .private_bytes = -1, .shared_bytes = -1, .swap_bytes = -1, .page_table_bytes = -1};
    int code = read_stat(pid, &read);
    if (code == 0) {
        code = read_statm(pid, &read);
    }
    if (code == 0) {
        *mem = read;
    }
    return code;
}

int procmem_read(pid_t pid, struct procmem *mem)
{
    struct procmem read = {0};
    int code = read_stat(pid, &read);
    if (code == 0) {
        code = read_status(pid, &read);
    }
    if (code == 0) {
        read.rollup_error = read_rollup(pid, &read);
    }
    if (code == 0 && read.rollup_error < 0) {
        // The process has ended meanwhile, which statm reports, or its smaps_rollup is not readable.
        read.pss_bytes = read.private_bytes = read.swap_bytes = -1;
        code = read.rollup_error == -ESRCH ? -ESRCH : read_statm(pid, &read);
    }
    if (code == 0) {
        *mem = read;
    }
    return code;
}

// A line of /proc/slabinfo (slabinfo(5)).
struct slab_line {
    int64_t active, objects, object_bytes, objects_per_slab, pages_per_slab;
};

static bool parse_slab(const char *line, const char *name, struct slab_line *slab)
{
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 && line[length] == ' ' &&
           sscanf(line + length, " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &slab->active,
                  &slab->objects, &slab->object_bytes, &slab->objects_per_slab, &slab->pages_per_slab) == 5;
}

static int64_t read_proc_bytes(void)
{
    FILE *file = fopen("/proc/slabinfo", "re");
    if (!file) {
        return -1;
    }
    struct slab_line inodes = {0}, names = {0}, labels = {0};
    char line[512];
    while (fgets(line, sizeof line, file)) {
        if (!parse_slab(line, "proc_inode_cache", &inodes) && !parse_slab(line, "dentry", &names)) {
            (void)parse_slab(line, "lsm_inode_cache", &labels);
        }
    }
    fclose(file);
    if (inodes.objects_per_slab <= 0) {
        return -1;
    }
    int64_t slabs = inodes.objects / inodes.objects_per_slab;
    return slabs * inodes.pages_per_slab * sysconf(_SC_PAGESIZE) +
           inodes.active * (names.object_bytes + labels.object_bytes);
}

int kernmem_read(struct kernmem *mem)
{
    char meminfo[TEXT_SIZE], sockstat[TEXT_SIZE];
    ssize_t n = text_file_read("/proc/meminfo", meminfo, sizeof meminfo);
    if (n < 0) {
        return (int)n;
    }
    n = text_file_read("/proc/net/sockstat", sockstat, sizeof sockstat);
    if (n < 0) {
        return (int)n;
    }
    struct kernmem read = {
        .slab_bytes = kib_line(meminfo, "Slab:"),
        .proc_bytes = read_proc_bytes(),
        .page_table_bytes = kib_line(meminfo, "PageTables:"),
        .kernel_stack_bytes = kib_line(meminfo, "KernelStack:"),
        .free_bytes = kib_line(meminfo, "MemFree:"),
    };
    int64_t pages;
    const char *line = strstr(sockstat, "TCP: ");
    if (!line ||
        sscanf(line, "TCP: inuse %" SCNd64 " orphan %" SCNd64 " tw %" SCNd64 " alloc %*d mem %" SCNd64,
               &read.tcp_in_use, &read.tcp_orphan, &read.tcp_time_wait, &pages) != 4) {
        return -EPROTO;
    }
    read.tcp_bytes = pages * sysconf(_SC_PAGESIZE);
    *mem = read;
    return 0;
}
