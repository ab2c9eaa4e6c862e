// SPDX-License-Identifier: Apache-2.0
// Memory as the kernel counts it: of a process (smaps_rollup, stat), and of the kernel's own sockets and
// slabs. MemAvailable is not used: socket inodes count as reclaimable there and mislead. /proc/PID/fd is not
// walked: each entry looked at adds an inode of its own, which lasts as long as the process. Others do walk
// it, monitors for one: with an entry of every socket they add a fifth to what a connection costs the kernel.
// proc_bytes is what to leave out: the slabs of proc_inode_cache, and for each inode in them a name (dentry)
// and what a security module keeps (lsm_inode_cache), by /proc/slabinfo.
#ifndef POOLMARK_BASE_PROCMEM_H
#define POOLMARK_BASE_PROCMEM_H

#include <stdint.h>
#include <sys/types.h>

struct procmem {
    int64_t rss_bytes, pss_bytes, swap_bytes; // PSS, private and swap -1: see rollup_error
    int64_t private_bytes; // anonymous and not shared: no page of a file, whoever else has mapped it
    int64_t shared_bytes;  // of no file and not private: shm, MAP_SHARED | MAP_ANONYMOUS. A page that others
                           // have mapped too counts in part, as in PSS, where smaps_rollup has that
    int rollup_error;      // 0, or why smaps_rollup cannot be read: -EACCES (of another user), -ENOENT (this
                           // kernel has none)
    int64_t page_table_bytes;
    int64_t cpu_ns; // user and system, of all its threads
    int64_t minor_faults, major_faults;
};

struct kernmem {
    int64_t slab_bytes;                            // Slab of /proc/meminfo
    int64_t proc_bytes;                            // of it, /proc's own; -1 where only root may know
    int64_t tcp_bytes;                             // "mem" of the TCP line in /proc/net/sockstat, in bytes
    int64_t page_table_bytes;                      // PageTables
    int64_t kernel_stack_bytes;                    // KernelStack
    int64_t free_bytes;                            // MemFree
    int64_t tcp_in_use, tcp_orphan, tcp_time_wait; // sockets
};

// Absent, forbidden and gone are three things. -ESRCH when there is no such process (any more, though
// nobody may have waited for it yet), -errno
// otherwise; nothing is written then. A process whose smaps_rollup alone cannot be read has RSS and CPU time
// all the same. Costs about a walk of its page tables. Any thread may call.
int procmem_read(pid_t pid, struct procmem *mem) __attribute__((warn_unused_result));
// As above without PSS, private, shared, swap and page tables (-1): statm and stat only, cheap enough for
// every sample.
int procmem_read_quick(pid_t pid, struct procmem *mem) __attribute__((warn_unused_result));
int kernmem_read(struct kernmem *mem) __attribute__((warn_unused_result));

#endif
