// SPDX-License-Identifier: Apache-2.0
// Memory as the kernel counts it: of a process (smaps_rollup, stat), and of the kernel's own sockets and
// slabs. MemAvailable is not used: it counts socket inodes as reclaimable and misleads. /proc/PID/fd is not
// walked: each entry read adds an inode, which lasts as long as the process. Other programs (monitors) do
// walk it; with an entry for every socket they add a fifth to the kernel memory of a connection. proc_bytes
// is the amount to subtract for that: the slabs of proc_inode_cache, and for each inode in them a name
// (dentry) and the data of a security module (lsm_inode_cache), from /proc/slabinfo.
#ifndef POOLMARK_BASE_PROCMEM_H
#define POOLMARK_BASE_PROCMEM_H

#include <stdint.h>
#include <sys/types.h>

struct procmem {
    int64_t rss_bytes, pss_bytes; // resident; PSS and private -1: see rollup_error
    // Anonymous and not shared, resident or swapped out: what the process owns does not shrink when the kernel
    // needs room. No page of a file counts, even if no other process has mapped it, and none that was given
    // back with MADV_FREE.
    int64_t private_bytes;
    int64_t
        swap_bytes; // anonymous and swapped out; where it is shared, its share (VmSwap of status: all of it)
    int64_t
        merged_bytes; // anonymous pages that KSM has merged with others of the same content; -1: not known
    // The same with its share of the anonymous pages that it shares with others since a fork (copy-on-write),
    // by Pss_Anon: the sum over all that share a page has it once. -1: not known (before Linux 5.3), or pages
    // are merged (KSM).
    int64_t share_bytes;
    int64_t
        forked_bytes; // anonymous and shared with others, so in no private memory; -1: not known, as where pages are merged
    // Given back by the allocator with MADV_FREE: resident until the kernel needs room, so in RSS and PSS, and
    // not in private memory. 0 where the kernel does not say (before Linux 4.14).
    int64_t lazy_free_bytes;
    // Of no file and not private: shm, MAP_SHARED | MAP_ANONYMOUS. Where smaps_rollup has it, a page that
    // others have mapped too counts in part, as in PSS.
    int64_t shared_bytes;
    // 0, or why smaps_rollup cannot be read: -EACCES (of another user), -ENOENT (not in this kernel).
    int rollup_error;
    int64_t page_table_bytes;
    int64_t cpu_ns; // user and system, of all its threads
    int64_t minor_faults, major_faults;
};

struct kernmem {
    int64_t slab_bytes; // Slab of /proc/meminfo
    int64_t proc_bytes; // part of slab_bytes: /proc's own; -1: root only
    // Part of slab_bytes: TCP sockets, and for each socket its inode, file and name; without epoll's and queued
    // data. Objects in use, each with its share of a slab. -1: root only, or caches are merged.
    int64_t socket_bytes;
    int64_t sockets;                               // of the whole host, of all kinds; -1 likewise
    int64_t tcp_bytes;                             // "mem" of the TCP line in /proc/net/sockstat, in bytes
    int64_t page_table_bytes;                      // PageTables
    int64_t kernel_stack_bytes;                    // KernelStack
    int64_t free_bytes;                            // MemFree
    int64_t tcp_in_use, tcp_orphan, tcp_time_wait; // sockets
};

// Returns 0; -ESRCH when the process does not exist or has ended, even if nobody has waited for it yet;
// another -errno when it cannot be read. Writes nothing on failure. If only smaps_rollup cannot be read, RSS
// and CPU time are read all the same. Costs about a walk of its page tables. Any thread may call.
int procmem_read(pid_t pid, struct procmem *mem) __attribute__((warn_unused_result));
// As above without PSS, private, shared, swap, merged, forked, lazily freed and page tables (-1): statm and
// stat only, cheap enough for every sample.
int procmem_read_quick(pid_t pid, struct procmem *mem) __attribute__((warn_unused_result));
// The most resident memory that the process has had so far (VmHWM). -1: not known.
int64_t procmem_highest(pid_t pid);
// Open descriptors of the process. -1: not known, as before Linux 6.2. Every user may ask, and nothing is listed.
int64_t procmem_descriptors(pid_t pid);
// The size of its table of descriptors (FDSize), which grows when it is full and never shrinks: it never had more
// open at once. -1: not known, or not a size that Linux gives a table.
int64_t procmem_descriptor_slots(pid_t pid);
// The fields that smaps_rollup gives, from its text. -ENODATA when it lacks one that a sum needs.
int procmem_parse_rollup(const char *text, struct procmem *mem) __attribute__((warn_unused_result));
// The process that the thread `tid` is of; `tid` itself for a process. -ESRCH: /proc has none; another -errno.
int64_t procmem_process_of(pid_t tid);
int kernmem_read(struct kernmem *mem) __attribute__((warn_unused_result));

#endif
