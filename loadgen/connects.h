// SPDX-License-Identifier: Apache-2.0
// Whether SYNs that were dropped can have reached this run. The kernel counts full accept queues and SYNs that were sent again
// for a whole network namespace, whoever's they are. A client whose SYN was dropped sends it again after a second: if all
// connects of a run were done before, none of its SYNs was among them. One thread, when the run's latencies were collected.
#ifndef POOLMARK_LOADGEN_CONNECTS_H
#define POOLMARK_LOADGEN_CONNECTS_H

#include "loadgen/run.h"

#include <stdbool.h>
#include <stdint.h>

// Linux sends a SYN again after one second, by a timer of some milliseconds' step. The last packet of a handshake that is
// dropped comes again with the data, after 200 ms.
#define CONNECTS_SYN_NS (950 * INT64_C(1000000))
#define CONNECTS_ACK_NS (190 * INT64_C(1000000))

// The longest connect or arrival from its call, those that did not end among them.
int64_t connects_slowest_ns(const struct run *run);
// Can a packet of one of them have been dropped that comes again after so long? One took that time, or failed as those do that
// nobody answers, or was tried again.
bool connects_missed(const struct run *run, int64_t again_ns);

#endif
