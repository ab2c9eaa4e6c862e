// SPDX-License-Identifier: Apache-2.0
// The files of a record's folder with their checksums: the field "files" of run.json. Part of base/record.h;
// one thread.
//
//     int code = record_files(&files, "out", &err);   // {"pools.csv": {"sha256": "...", "bytes": 812}}
#ifndef POOLMARK_BASE_RECORD_FILES_H
#define POOLMARK_BASE_RECORD_FILES_H

#include "base/err.h"

#include <jansson.h>

// Every regular file below `dir`, by its path in it: without run.json and its seal, without what symbolic
// links lead to, and without folders that have a run.json of their own, which are other records. SHA-256
// (FIPS 180-4) in lower-case hex. The caller gets a reference. -errno with the text when one cannot be read;
// `*files` then has the others, or is NULL when there was no memory.
int record_files(json_t **files, const char *dir, struct err *err) __attribute__((warn_unused_result));

#endif
