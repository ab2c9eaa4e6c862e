// SPDX-License-Identifier: Apache-2.0
// The limit of a run: the generator or its target. A rate that the generator could not exceed says nothing
// about the target.
//
// Judged for each kind of acts that has a rate, or goes as fast as it goes: messages, connects, arrivals, changes of
// subscriptions.
//
// A generator with a free CPU and spare time waits for its target: the target is the limit. Without these the
// generator is the limit, whether its workers send or receive. If it was ready to run and had no CPU, the limit is the
// host, which both share; so it is if the target was. A rate that was had has no limit, however late acts were: the anomaly
// `late` tells that.
#ifndef POOLMARK_LOADGEN_LIMIT_H
#define POOLMARK_LOADGEN_LIMIT_H

#include "loadgen/load_kind.h"

#include <stdbool.h>
#include <stdint.h>

enum limit_by {
    LIMIT_NONE, // the rate was reached
    LIMIT_GENERATOR,
    LIMIT_TARGET,
    LIMIT_HOST, // no CPU was left for the generator, or for the target
    LIMIT_UNKNOWN,
};

struct limit_facts {
    enum load_kind kind;
    double asked_per_s; // 0: as fast as possible
    double had_per_s;
    bool in_time;       // all that were due were made, and the last as soon as the end of a schedule allows
    double due;         // acts; 0: not known
    double not_sent;    // of these, not begun
    bool none_due;      // by the schedule
    double failed_here; // connects that this host had no port, descriptor or memory for
    const char *why_failed; // of these
    bool queue_full;        // the kernel dropped SYNs at a full accept queue, and connects waited for that
    bool waits;             // clients waited between their tries, as they were asked to
    int64_t lag_p99_ns;     // from the intended times to the acts; ignored without a schedule
    int64_t took_ns;        // what the rate was counted in; 0: not known
    // Shares of the time in which the busiest worker thread ran, and waited for a CPU; both 0: not known, and `brief`: because
    // the time was too short to tell.
    double ran, waited;
    bool brief;
    double target_ran, target_waited; // the same of the target's busiest thread
    double idle;                      // share of the CPUs that was idle meanwhile (cpu_idle.h); -1: not known
    double target_stopped; // share of the time in which it stood still: stopped, held by a debugger, frozen
    double stalled;     // share of the time in which the worker that was kept from running the longest was so
    bool late_receiver; // a worker that received had no time to spare (receiving.h)
    double
        unread; // of the bytes of missing messages, those that lay in sockets of workers, unread, at the end
};

struct limit {
    enum limit_by by;
    char why[240];
};

const char *limit_name(enum limit_by by);         // "generator", for records
const char *limit_kind_name(enum load_kind kind); // "arrivals", likewise
void limit_judge(struct limit *limit, const struct limit_facts *facts);

#endif
