// SPDX-License-Identifier: Apache-2.0
// What of the watched processes moves figures and is not the target's own: the processors that they may run on, their priority, their
// CPU quota. The generator's own are facts of its host (base/host.h), and a target that is started elsewhere (a container, taskset,
// nice) has others. In a record they are settings of the host, so that readers compare them as those (facts/comparable.py).
#ifndef POOLMARK_LOADGEN_TARGET_SETTINGS_H
#define POOLMARK_LOADGEN_TARGET_SETTINGS_H

#include <jansson.h>
#include <stdint.h>

// {"target_cores": [1], "target_nice": [0], "target_scheduling": ["other"], "target_quota": [0.5]}: each value once; null: it cannot be
// read of all of them. Without a quota it is "none". {} without processes. A new reference; NULL: out of memory.
json_t *target_settings(const int64_t *pids, int count);

#endif
