// SPDX-License-Identifier: Apache-2.0
// Messages that a worker did not read in time. A delivery ends when it is read, so a worker that is saturated, waits for a
// CPU or is kept from running makes latencies longer, and a target whose queues are full meanwhile drops messages. The
// lag (`late`) knows what is sent only.
#ifndef POOLMARK_LOADGEN_RECEIVING_H
#define POOLMARK_LOADGEN_RECEIVING_H

#include "loadgen/run.h"

// The share of the bytes of lost messages that lay in sockets of the workers, unread, when they counted as lost; it may be
// above 1. 0 when none was lost.
double receiving_unread(const struct run *run);

// Whether a worker that received messages at a rate had no time to spare.
bool receiving_was_late(const struct run *run);

// The anomaly `late_receiver` of that. Gives whether it was.
bool receiving_judge(struct run *run);

// Is it a figure of deliveries or of losses, so that the anomaly makes it doubtful? verify has the same rule
// (scripts/python/poolmark/verify/withheld.py).
bool receiving_concerns(const char *metric, const char *unit, const char *better);

#endif
