// SPDX-License-Identifier: Apache-2.0
// The state file: an SQLite database with a write-ahead log beside it (FILE-wal). docs/state.md has its tables.
//
// One thread at a time. The process that opened it keeps it locked until it closes it.
//
// A file that cannot be used is left as it was: its first 100 bytes are looked at before SQLite opens it, and
// nothing is written before its structure was checked.
#ifndef POOLMARK_BROKER_STATE_STATE_FILE_H
#define POOLMARK_BROKER_STATE_STATE_FILE_H

#include "base/err.h"
#include "broker/state/sqlite_calls.h"
#include "broker/state/state_act.h"

#include <stddef.h>

enum {
    STATE_APPLICATION = 0x504d6b53, // SQLite's application_id: "PMkS"
    STATE_SCHEMA = 1,               // user_version
    STATE_CACHE_KIB = 2048,         // pages that SQLite keeps in memory
};

struct state_file {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback, *acts[STATE_KINDS];
    const char *path;    // of the caller
    const char *warning; // static; state_log_inspect
};

// Opens the file, or makes it with mode 0600. 0, or with the text in `err`: -EUCLEAN: the
// file cannot be used (damaged, of another program, of a newer Poolmark, not to be opened or written); -EBUSY:
// another process has it; -ENOMEM; -ELIBACC: SQLite's library cannot be loaded.
int state_file_open(struct state_file *file, const char *path, struct err *err)
    __attribute__((warn_unused_result));

// Begins the log, and marks the file as one that has a log until it is closed in order. Before the first act. With `is_full` a commit
// waits until the disk has it; otherwise it survives the end of the process, but not that of the system. 0, or as state_file_open.
int state_file_start(struct state_file *file, bool is_full, struct err *err)
    __attribute__((warn_unused_result));

// Makes all acts durable, or none. 0, or the code of SQLite.
int state_file_apply(struct state_file *file, const struct state_act *acts, size_t count)
    __attribute__((warn_unused_result));

// Sets `err` by SQLite's code, and returns one of the values above, or -EIO.
int state_file_error(const struct state_file *file, int code, struct err *err);

// Moves the log into the file, takes the mark away and closes it. `is_kept`: nothing is written.
void state_file_close(struct state_file *file, bool is_kept);

#endif
