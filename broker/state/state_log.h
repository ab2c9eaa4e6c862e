// SPDX-License-Identifier: Apache-2.0
// What can be told of a state file's log (FILE-wal) before SQLite reads it. SQLite reads a log up to the first frame that is
// not right and says nothing, because a crash in the middle of a transaction leaves such a frame at the end.
//
// An orderly end moves the log into the file and marks the file as one without a log (its journal mode). So a file that is
// marked as one with a log, and has none, lost it.
#ifndef POOLMARK_BROKER_STATE_STATE_LOG_H
#define POOLMARK_BROKER_STATE_STATE_LOG_H

#include <stdbool.h>

// `has_log`: by the header of the file. NULL: nothing speaks against it, or it cannot be told; otherwise one sentence, static, without
// the file's name.
const char *state_log_inspect(const char *path, bool has_log);

#endif
