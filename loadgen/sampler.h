// SPDX-License-Identifier: Apache-2.0
// Memory against time and connections: a thread of the parent that reads the target's processes, the
// generator's and the kernel's own counts, and writes memory.csv (results/README.md has the columns).
//
// A quick row each second (statm, stat, meminfo, sockstat). A full one, with PSS and private memory, which
// costs a walk of page tables, when it is asked for, and otherwise in at most a twentieth of the time.
//
//     sampler_open(&sampler, &config, &err);
//     sampler_label(sampler, "connect", open, cpu_ns);
//     uint64_t ticket = sampler_request(sampler);
//     while (!sampler_ready(sampler, ticket, &sample)) ...
#ifndef POOLMARK_LOADGEN_SAMPLER_H
#define POOLMARK_LOADGEN_SAMPLER_H

#include "base/csv.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sampler;

struct sampler_config {
    const char *path; // of memory.csv; NULL: none is written
    const int64_t *targets;
    int target_count;
    const pid_t *workers; // the parent is added by the sampler itself
    int worker_count;
};

struct sample { // -1: not read
    int64_t at_ns, connections;
    int64_t target_rss_bytes, target_pss_bytes, target_private_bytes, target_cpu_ns;
    int64_t target_shared_bytes; // shm, MAP_SHARED: in no private memory; not in memory.csv
    int64_t generator_pss_bytes, generator_cpu_ns;
    int64_t kernel_slab_bytes; // without kernel_proc_bytes, where that is known
    int64_t kernel_tcp_bytes, kernel_page_table_bytes, kernel_proc_bytes;
    int targets_gone; // watched processes that are not there any more
    int target_error; // -errno: a watched process is there and cannot be read; then all target_* are -1
    int rollup_error; // -errno: its PSS and private memory cannot be read (base/procmem.h), RSS and CPU time
                      // can
};

struct sampler_account {
    int64_t readings, unreadable; // those in which a watched process could not be read
    int error;                    // the last -errno of these
    int64_t late_ns;              // how much later than a second after the last the next reading began: only
                                  // delays past a second, in which the sampler did not run
    struct csv_account file;      // memory.csv; base/csv.h
};

#define SAMPLER_HEADER                                                                                       \
    "at_ns,phase,connections,target_rss_bytes,target_pss_bytes,target_private_bytes,target_cpu_ns,"          \
    "generator_pss_bytes,generator_cpu_ns,kernel_slab_bytes,kernel_tcp_bytes,kernel_page_table_bytes,"       \
    "kernel_proc_bytes"

// Copies what `config` points to. Starts the thread.
int sampler_open(struct sampler **sampler, const struct sampler_config *config, struct err *err)
    __attribute__((warn_unused_result));

// What the next rows say. `phase` is a plain word with static storage; `cpu_ns` is the workers' CPU time. Any
// thread.
void sampler_label(struct sampler *sampler, const char *phase, int64_t connections, int64_t cpu_ns);

// Asks for a full row now; its sample is there when sampler_ready(ticket) says so. Any thread.
uint64_t sampler_request(struct sampler *sampler);
bool sampler_ready(struct sampler *sampler, uint64_t ticket, struct sample *sample);

void sampler_last(struct sampler *sampler, struct sample *sample); // the latest row, quick or full

// Writes a last quick row, ends the thread. 0, or what went wrong with the file. `account` may be NULL. NULL
// is allowed.
int sampler_close(struct sampler *sampler, struct sampler_account *account);

// One row's reading, on the caller's thread; for tests and single figures.
void sample_read(struct sample *sample, const int64_t *targets, int target_count, const pid_t *workers,
                 int worker_count, bool full);

#endif
