// SPDX-License-Identifier: Apache-2.0
// The first part of mix_plan_open: reads the file into a zeroed mix.
#ifndef POOLMARK_LOADGEN_SCENARIOS_MIX_FILE_H
#define POOLMARK_LOADGEN_SCENARIOS_MIX_FILE_H

#include "loadgen/scenarios/mix_plan.h"

// Each group has a config that is a copy of `base` with its keys, each act its keys. -EINVAL with the text in `err`.
int mix_file_read(struct mix *mix, const char *path, const struct config *base, struct err *err)
    __attribute__((warn_unused_result));

#endif
