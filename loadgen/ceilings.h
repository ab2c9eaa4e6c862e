// SPDX-License-Identifier: Apache-2.0
// "Why does it stop at N?": limits of the host and of processes that a run met, each with the command that
// mends it. A limit is told when it showed in the run, never because it is small. Counters of the kernel cover the whole host,
// network namespace or control group, whoever's the events are: they are told when the run itself shows what such an event does.
//
// The watch keeps the largest values of the run, since they are gone when its connections are closed.
//
//     ceilings_start(&ceilings, pids, count);
//     ceilings_look(&ceilings, failures, now_ns);      // as often as wished: it reads when it is due
//     int count = ceilings_judge(&facts, notes);       // summary_ceilings.h makes the facts of a run
#ifndef POOLMARK_LOADGEN_CEILINGS_H
#define POOLMARK_LOADGEN_CEILINGS_H

#include "loadgen/out_of_memory.h"
#include "loadgen/tally.h"

#include <stddef.h>
#include <stdint.h>

enum { CEILING_NOTES_MAX = 12 };

struct ceiling_note {
    const char *name; // "ports", for records
    char text[360];   // what showed
    char mend[460];   // what to do about it
};

struct ceilings { // the watch; -1: cannot be read
    const int64_t *pids;
    int target_count;
    int64_t failures, looked_ns;
    int64_t files;                      // most open files of the system
    int64_t tcp_pages;                  // most TCP memory
    int64_t tracked;                    // most connections in the firewall's table
    int64_t target_files, target_limit; // of the watched process that came closest to its limit
    int64_t pids_refused;               // at the start
    struct out_of_memory memory;
};

struct ceiling_facts { // -1: not known
    struct tally tally;
    int64_t port_low, port_high, routes; // routes: pairs of a source and a target address
    int64_t ports_reserved;              // in that range; 0 when not known
    int64_t time_wait;                   // sockets in TIME-WAIT
    bool refused;                        // the first target refuses a connect now: nobody listens
    int64_t worker_limit;                // descriptors of a worker
    int64_t files, file_max;
    int64_t target_files, target_limit;
    int64_t overflows, somaxconn; // handshakes that met a full accept queue
    int64_t backlog;              // of the target's listener, as it is in force: somaxconn is in it
    int64_t slowest_connect_ns;
    bool missed_syns; // by connects.h: without it no full queue has reached this run
    bool harmed;      // clients or messages were lost, or the run ended early
    bool raw;         // engine raw, which has the smallest clients
    int64_t tcp_pages, tcp_max_pages, tcp_pressures, tcp_aborts;
    int64_t tracked, tracked_max;
    int64_t pids_limit, pids_refused;
    int64_t memory_limit_bytes;
    struct memory_death worker_death, target_death;
    int64_t throttled_periods;
    double quota_cores;
    bool quota_unified; // that quota is of version 2
};

// `pids`: the watched processes; it stays the caller's.
void ceilings_start(struct ceilings *ceilings, const int64_t *pids, int count);
// `failures`: clients that failed or were dropped so far. Reads each second, and soon after failures.
void ceilings_look(struct ceilings *ceilings, int64_t failures, int64_t now_ns);

// All limits that showed; gives how many.
int ceilings_judge(const struct ceiling_facts *facts, struct ceiling_note notes[CEILING_NOTES_MAX]);

// The values of the host as they are now, and the watch's. The rest of `facts` is -1 or 0.
void ceilings_read(const struct ceilings *ceilings, struct ceiling_facts *facts);

// Why a process or a thread could not be started (EAGAIN, ENOMEM), with the command: a sentence.
const char *ceilings_of_start(int code, char *text, size_t size);

#endif
