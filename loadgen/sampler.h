// SPDX-License-Identifier: Apache-2.0
// Memory over time and connections. A thread of the parent reads the processes of target and generator and
// the kernel's counts, and writes memory.csv (results/README.md has the columns).
//
// Private memory of several processes is the sum of their shares: a page that they share since a fork is in it
// once. Of one process, a page that it shares with processes that are not watched is not in it.
//
// A quick row each second has statm, stat, meminfo and sockstat. A full row also has PSS and private memory,
// and costs a walk of page tables. Full rows come on request; others take at most a twentieth of the time.
//
//     sampler_open(&sampler, &config, &err);
//     sampler_label(sampler, "connect", open, cpu_ns);
//     uint64_t ticket = sampler_request(sampler);
//     while (!sampler_ready(sampler, ticket, &sample)) ...
#ifndef POOLMARK_LOADGEN_SAMPLER_H
#define POOLMARK_LOADGEN_SAMPLER_H

#include "base/csv.h"
#include "base/err.h"
#include "loadgen/census.h"

#include <stdbool.h>
#include <stddef.h>
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
    int64_t
        target_forked_bytes; // anonymous and shared since a fork: of one process in no private memory; not in memory.csv
    int64_t target_lazy_free_bytes; // given back with MADV_FREE: in no private memory; not in memory.csv
    int64_t target_shared_bytes;    // shm, MAP_SHARED: in no private memory; not in memory.csv
    int64_t target_swap_bytes;      // in private memory, and in no resident figure
    int64_t target_merged_bytes;    // by KSM: in no private memory; not in memory.csv
    int64_t target_descriptors;     // open ones; not in memory.csv
    int64_t generator_pss_bytes, generator_cpu_ns;
    int64_t kernel_slab_bytes;                   // without kernel_proc_bytes, where that is known
    int64_t kernel_socket_bytes, kernel_sockets; // base/procmem.h; not in memory.csv
    int64_t kernel_tcp_bytes, kernel_page_table_bytes, kernel_proc_bytes;
    struct census_reading census; // set by run_sample; not in memory.csv
    int64_t lost; // connections that the run's clients had lost by then; set by run_sample, not in memory.csv
    int targets_gone; // watched processes that have ended
    int target_error; // -errno: a watched process exists and cannot be read; then all target_* are -1
    int rollup_error; // -errno: only its RSS and CPU time can be read, not PSS and private memory
};

struct sampler_account {
    int64_t readings, unreadable; // unreadable: a watched process could not be read
    int error;                    // the last -errno of these
    int64_t late_ns;              // sum of delays above a second, in which the sampler did not run
    struct csv_account file;      // memory.csv; base/csv.h
};

#define SAMPLER_HEADER                                                                                       \
    "at_ns,phase,connections,target_rss_bytes,target_pss_bytes,target_private_bytes,target_cpu_ns,"          \
    "generator_pss_bytes,generator_cpu_ns,kernel_slab_bytes,kernel_tcp_bytes,kernel_page_table_bytes,"       \
    "kernel_proc_bytes,target_swap_bytes"

// Copies what `config` points to. Starts the thread.
int sampler_open(struct sampler **sampler, const struct sampler_config *config, struct err *err)
    __attribute__((warn_unused_result));

// Sets phase, connections and CPU time of the next rows. `phase` is a plain word with static storage;
// `cpu_ns` is the workers' CPU time. Any thread may call.
void sampler_label(struct sampler *sampler, const char *phase, int64_t connections, int64_t cpu_ns);

// Asks for a full row now. sampler_ready(ticket) gives its sample when it is there. Any thread may call.
uint64_t sampler_request(struct sampler *sampler);
bool sampler_ready(struct sampler *sampler, uint64_t ticket, struct sample *sample);

void sampler_last(struct sampler *sampler, struct sample *sample); // the latest row, quick or full

// Keeps the readings of one phase from now on, in memory: those that memory.csv has with this label.
struct sampler_kept {
    int64_t at_ns, rss_bytes, pss_bytes, private_bytes; // of the target; -1: not read
};
void sampler_keep(struct sampler *sampler, const char *phase);
// Those so far. `*kept` is the caller's to free. The number; 0 too when memory ran out on the way.
size_t sampler_take_kept(struct sampler *sampler, struct sampler_kept **kept);

// The highest reading so far of each way to count the target's user memory, -1: there is none. Other fields are
// of the latest row. These are the highest values in memory.csv.
void sampler_peak(struct sampler *sampler, struct sample *peak);

// Writes a last quick row and ends the thread. Returns 0, or the -errno of the file. `account` and `sampler`
// may be NULL.
int sampler_close(struct sampler *sampler, struct sampler_account *account);

// Reads one row on the caller's thread, for tests and single figures.
void sample_read(struct sample *sample, const int64_t *targets, int target_count, const pid_t *workers,
                 int worker_count, bool full);

#endif
