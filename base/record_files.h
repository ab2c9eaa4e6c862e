// SPDX-License-Identifier: Apache-2.0
// The files of a record's folder with their checksums: the field "files" of run.json. Part of base/record.h;
// one thread.
//
//     int code = record_files(&files, "out", NULL, &err);   // {"pools.csv": {"sha256": "...", "bytes": 812}}
#ifndef POOLMARK_BASE_RECORD_FILES_H
#define POOLMARK_BASE_RECORD_FILES_H

#include "base/err.h"

#include <jansson.h>

// Lists every regular file below `dir`, by its path there. Leaves out run.json and its seal, targets of
// symbolic links, folders with a run.json of their own (other records), and the folders of `left_out` (an array of paths
// below `dir`; NULL: none), which may change while this runs. SHA-256 (FIPS 180-4) in
// lower-case hex. The caller owns the reference. Returns -errno with the text when a file cannot be read;
// `*files` then has the others, or is NULL when out of memory.
int record_files(json_t **files, const char *dir, const json_t *left_out, struct err *err)
    __attribute__((warn_unused_result));

#endif
