// SPDX-License-Identifier: Apache-2.0
// SQLite's calls, from its shared library, which is loaded at the first use of --state. Linked, it would add
// about 300 KiB of private memory to every broker, also to those that keep no state.
//
// Include this instead of <sqlite3.h>, and call the functions by their own names.
#ifndef POOLMARK_BROKER_STATE_SQLITE_CALLS_H
#define POOLMARK_BROKER_STATE_SQLITE_CALLS_H

#include "base/err.h"

#include <sqlite3.h>

#define SQLITE_CALLS(CALL)                                                                                   \
    CALL(bind_blob64)                                                                                        \
    CALL(bind_int64)                                                                                         \
    CALL(bind_parameter_count)                                                                               \
    CALL(bind_text64)                                                                                        \
    CALL(close)                                                                                              \
    CALL(column_blob)                                                                                        \
    CALL(column_bytes)                                                                                       \
    CALL(column_int64)                                                                                       \
    CALL(column_text)                                                                                        \
    CALL(db_config)                                                                                          \
    CALL(db_readonly)                                                                                        \
    CALL(errcode)                                                                                            \
    CALL(errmsg)                                                                                             \
    CALL(errstr)                                                                                             \
    CALL(exec)                                                                                               \
    CALL(extended_result_codes)                                                                              \
    CALL(finalize)                                                                                           \
    CALL(get_autocommit)                                                                                     \
    CALL(open_v2)                                                                                            \
    CALL(prepare_v2)                                                                                         \
    CALL(prepare_v3)                                                                                         \
    CALL(reset)                                                                                              \
    CALL(step)

#define SQLITE_CALL_MEMBER(name) __typeof__(sqlite3_##name) *name;
struct sqlite_calls {
    SQLITE_CALLS(SQLITE_CALL_MEMBER)
};
#undef SQLITE_CALL_MEMBER
extern struct sqlite_calls sqlite_calls; // NULL before sqlite_calls_load has succeeded

// Loads the library once; it stays until the process ends. One thread at a time. 0, or with the text in `err`:
// -ELIBACC: it is not installed, or lacks a call.
int sqlite_calls_load(struct err *err) __attribute__((warn_unused_result));

#define sqlite3_bind_blob64 sqlite_calls.bind_blob64
#define sqlite3_bind_int64 sqlite_calls.bind_int64
#define sqlite3_bind_parameter_count sqlite_calls.bind_parameter_count
#define sqlite3_bind_text64 sqlite_calls.bind_text64
#define sqlite3_close sqlite_calls.close
#define sqlite3_column_blob sqlite_calls.column_blob
#define sqlite3_column_bytes sqlite_calls.column_bytes
#define sqlite3_column_int64 sqlite_calls.column_int64
#define sqlite3_column_text sqlite_calls.column_text
#define sqlite3_db_config sqlite_calls.db_config
#define sqlite3_db_readonly sqlite_calls.db_readonly
#define sqlite3_errcode sqlite_calls.errcode
#define sqlite3_errmsg sqlite_calls.errmsg
#define sqlite3_errstr sqlite_calls.errstr
#define sqlite3_exec sqlite_calls.exec
#define sqlite3_extended_result_codes sqlite_calls.extended_result_codes
#define sqlite3_finalize sqlite_calls.finalize
#define sqlite3_get_autocommit sqlite_calls.get_autocommit
#define sqlite3_open_v2 sqlite_calls.open_v2
#define sqlite3_prepare_v2 sqlite_calls.prepare_v2
#define sqlite3_prepare_v3 sqlite_calls.prepare_v3
#define sqlite3_reset sqlite_calls.reset
#define sqlite3_step sqlite_calls.step

#endif
