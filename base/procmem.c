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
#include <sys/stat.h>
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

static int64_t without(int64_t bytes, int64_t part)
{
    return part < bytes ? bytes - part : 0;
}

int procmem_parse_rollup(const char *text, struct procmem *mem)
{
    static const char *const needed[] = {"Rss:", "Pss:", "Private_Clean:", "Private_Dirty:", "Anonymous:"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        int64_t kib;
        if (text_file_number(text, needed[i], &kib) < 0) {
            return -ENODATA; // without one of them a sum would be too small
        }
    }
    mem->rss_bytes = kib_line(text, "Rss:");
    mem->pss_bytes = kib_line(text, "Pss:");
    // Lazily freed pages are anonymous, clean and resident: the kernel takes them when it needs room.
    mem->lazy_free_bytes = kib_line(text, "LazyFree:");
    // Private_* also counts pages of a file that only this process has mapped, such as its own program, until
    // another process maps them. Anonymous memory does not depend on others, but after a fork some of it is
    // shared. So private memory is the smaller of the two.
    int64_t alone = kib_line(text, "Private_Clean:") + kib_line(text, "Private_Dirty:");
    int64_t anonymous = kib_line(text, "Anonymous:");
    // Swap counts swapped pages of shared memory too, SwapPss does not.
    int64_t kib;
    mem->swap_bytes = kib_line(text, text_file_number(text, "SwapPss:", &kib) == 0 ? "SwapPss:" : "Swap:");
    int64_t own = anonymous < alone ? anonymous : alone;
    int64_t beside = kib_line(text, "Private_Hugetlb:") + mem->swap_bytes;
    mem->private_bytes = without(own, mem->lazy_free_bytes) + beside;
    mem->merged_bytes = text_file_number(text, "KSM:", &kib) == 0 ? kib * KIB : -1;
    // A merged page is shared too, and not by a fork.
    bool by_forks = mem->merged_bytes <= 0 && text_file_number(text, "Pss_Anon:", &kib) == 0;
    mem->share_bytes = by_forks ? without(kib * KIB, mem->lazy_free_bytes) + beside : -1;
    mem->forked_bytes = mem->merged_bytes > 0 ? -1 : anonymous - own;
    if (text_file_number(text, "Pss_Shmem:", &kib) == 0) {
        mem->shared_bytes = kib * KIB;
    }
    return 0;
}

static int read_rollup(pid_t pid, struct procmem *mem)
{
    char text[TEXT_SIZE];
    ssize_t n = read_of(pid, "smaps_rollup", text);
    return n < 0 ? (int)n : procmem_parse_rollup(text, mem);
}

// Page tables, shared memory and swap, from a file that every user may read.
static int read_status(pid_t pid, struct procmem *mem)
{
    char text[TEXT_SIZE];
    ssize_t n = read_always(pid, "status", text);
    if (n < 0) {
        return (int)n;
    }
    mem->page_table_bytes = kib_line(text, "VmPTE:");
    mem->shared_bytes = kib_line(text, "RssShmem:");
    mem->swap_bytes = kib_line(text, "VmSwap:");
    return 0;
}

int procmem_read_quick(pid_t pid, struct procmem *mem)
{
    struct procmem read = {.pss_bytes = -1,
                           .private_bytes = -1,
                           .shared_bytes = -1,
                           .swap_bytes = -1,
                           .merged_bytes = -1,
                           .share_bytes = -1,
                           .forked_bytes = -1,
                           .lazy_free_bytes = -1,
                           .page_table_bytes = -1};
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
        read.pss_bytes = read.private_bytes = read.merged_bytes = read.share_bytes = read.forked_bytes =
            read.lazy_free_bytes = -1;
        code = read.rollup_error == -ESRCH ? -ESRCH : read_statm(pid, &read);
    }
    if (code == 0) {
        *mem = read;
    }
    return code;
}

int64_t procmem_process_of(pid_t tid)
{
    char text[TEXT_SIZE];
    int64_t pid;
    ssize_t n = read_always(tid, "status", text);
    if (n < 0) {
        return n;
    }
    return text_file_number(text, "Tgid:", &pid) == 0 ? pid : -EPROTO;
}

int64_t procmem_highest(pid_t pid)
{
    char text[TEXT_SIZE];
    int64_t bytes = read_of(pid, "status", text) < 0 ? 0 : kib_line(text, "VmHWM:");
    return bytes > 0 ? bytes : -1;
}

int64_t procmem_descriptors(pid_t pid)
{
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    return stat(path, &facts) == 0 && facts.st_size > 0 ? facts.st_size : -1;
}

int64_t procmem_descriptor_slots(pid_t pid)
{
    enum { LEAST_SLOTS = 64 }; // a power of two from there on; others count something else by that name
    char text[TEXT_SIZE];
    int64_t slots;
    if (read_of(pid, "status", text) < 0 || text_file_number(text, "FDSize:", &slots) < 0) {
        return -1;
    }
    return slots >= LEAST_SLOTS && (slots & (slots - 1)) == 0 ? slots : -1;
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

// An object's share of its slab.
static double share_of(const struct slab_line *slab)
{
    return slab->objects_per_slab > 0
               ? (double)(slab->pages_per_slab * sysconf(_SC_PAGESIZE)) / (double)slab->objects_per_slab
               : 0;
}

enum { PROC_INODES, DENTRIES, INODE_LABELS, FILES, FILE_LABELS, SOCKET_INODES, TCP4, TCP6, SLAB_CACHES };

// Sets proc_bytes, socket_bytes and sockets. A cache that the kernel merged into another has no line; the small
// ones (labels) are left out then.
static void read_caches(struct kernmem *mem)
{
    static const char *const names[SLAB_CACHES] = {[PROC_INODES] = "proc_inode_cache",
                                                   [DENTRIES] = "dentry",
                                                   [INODE_LABELS] = "lsm_inode_cache",
                                                   [FILES] = "filp",
                                                   [FILE_LABELS] = "lsm_file_cache",
                                                   [SOCKET_INODES] = "sock_inode_cache",
                                                   [TCP4] = "TCP",
                                                   [TCP6] = "TCPv6"};
    struct slab_line lines[SLAB_CACHES] = {0};
    mem->proc_bytes = mem->socket_bytes = mem->sockets = -1;
    FILE *file = fopen("/proc/slabinfo", "re");
    if (!file) {
        return;
    }
    char line[512];
    while (fgets(line, sizeof line, file)) {
        for (int i = 0; i < SLAB_CACHES; i++) {
            if (parse_slab(line, names[i], &lines[i])) {
                break;
            }
        }
    }
    fclose(file);
    const struct slab_line *inodes = &lines[PROC_INODES], *sockets = &lines[SOCKET_INODES];
    if (inodes->objects_per_slab > 0) {
        mem->proc_bytes =
            inodes->objects / inodes->objects_per_slab * inodes->pages_per_slab * sysconf(_SC_PAGESIZE) +
            inodes->active * (lines[DENTRIES].object_bytes + lines[INODE_LABELS].object_bytes);
    }
    if (sockets->objects_per_slab <= 0 || lines[TCP4].objects_per_slab <= 0 ||
        lines[DENTRIES].objects_per_slab <= 0 || lines[FILES].objects_per_slab <= 0) {
        return;
    }
    double of_each = share_of(sockets);
    for (int i = DENTRIES; i <= FILE_LABELS; i++) {
        of_each += share_of(&lines[i]);
    }
    mem->sockets = sockets->active;
    mem->socket_bytes =
        (int64_t)((double)sockets->active * of_each + (double)lines[TCP4].active * share_of(&lines[TCP4]) +
                  (double)lines[TCP6].active * share_of(&lines[TCP6]));
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
    read_caches(&read);
    *mem = read;
    return 0;
}
