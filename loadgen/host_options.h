// SPDX-License-Identifier: Apache-2.0
// Options that name what is there when a run begins: watched processes, and the prefix, which is random by default.
#ifndef POOLMARK_LOADGEN_HOST_OPTIONS_H
#define POOLMARK_LOADGEN_HOST_OPTIONS_H

#include "base/err.h"
#include "loadgen/config.h"

// Fills config->watch_pids: each is a process that is there, and stands there once. -EINVAL with the text in `err`.
int host_options_watch(struct config *config, struct err *err) __attribute__((warn_unused_result));

// Makes config->prefix of --prefix, or else of random bits. -EINVAL, -EIO likewise.
int host_options_prefix(struct config *config, struct err *err) __attribute__((warn_unused_result));

#endif
