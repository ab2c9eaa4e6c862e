// SPDX-License-Identifier: Apache-2.0
// The time namespace of this process (time_namespaces(7)): what it adds to the host's CLOCK_MONOTONIC, as after
// `unshare --time`, in some containers, or after a checkpoint was restored.
//
// Records of two programs are compared by their times: a broker's pools.csv with a generator's arrivals.csv. So programs
// take off what their namespace adds, and all of them have the host's time. A library does not.
//
//     if (time_namespace_join(&err) == -EXDEV) ...  // first in main, with one thread
#ifndef POOLMARK_BASE_TIME_NAMESPACE_H
#define POOLMARK_BASE_TIME_NAMESPACE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

// From now on clock_now_ns is the host's. Returns 0, also for a kernel without time namespaces. -EXDEV with the text: the
// children of this process would have another clock than itself, and which of the two it has is not told. Another -errno: it
// cannot be read. Then nothing is taken off, and time_namespace_known is false.
int time_namespace_join(struct err *err) __attribute__((warn_unused_result));

// Whether the time that clock_now_ns gives is known to be the host's. False before time_namespace_join.
bool time_namespace_known(void);

// From the text of /proc/PID/timens_offsets. 0 or -EPROTO.
int time_namespace_parse(const char *text, int64_t *ns) __attribute__((warn_unused_result));

#endif
