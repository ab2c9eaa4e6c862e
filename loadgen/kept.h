// SPDX-License-Identifier: Apache-2.0
// Sessions of clients that are away and that the target keeps: it queues for each of them what it has subscribed to, and that is
// in the target's memory and CPU time. They have no connection, so no list of sockets shows them. Only the target itself can
// tell: mosquitto does, in topics of its own ($SYS), which a short connection reads once before the first client and once after
// the last act. They are up to ten seconds old. Of other targets nothing is known, and the record says so
// (summary.kept_sessions). One thread.
//
//     kept_read(&kept.start, &plan, identity, pids, count);
//     ...
//     kept_read(&kept.end, &plan, identity, pids, count);
#ifndef POOLMARK_LOADGEN_KEPT_H
#define POOLMARK_LOADGEN_KEPT_H

#include "loadgen/identity.h"
#include "loadgen/plan.h"

#include <stdint.h>

struct kept_reading {
    int64_t sessions; // -1: not known
    const char *why;  // static, of -1: why not; NULL otherwise
};

struct kept {
    struct kept_reading start, end;
};

// Of the first target, when a watched process is a broker that tells. `identity`: client 0's user name and password are used.
void kept_read(struct kept_reading *reading, const struct plan *plan, const struct identity *identity,
               const int64_t *pids, int count);

// From the packets of a broker in `bytes`: takes the number that a PUBLISH of $SYS/broker/clients/disconnected has. The bytes of
// whole packets; -1: they are none. `*done`: the answer to the PINGREQ was among them. For tests.
long kept_take(const void *bytes, size_t size, int64_t *sessions, int *done);

#endif
