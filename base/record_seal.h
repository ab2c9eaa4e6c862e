// SPDX-License-Identifier: Apache-2.0
// The seal of a record: run.json.sha256 beside run.json, as sha256sum writes it and `sha256sum -c` reads it.
//
// run.json has the checksums of all other files; the seal has the checksum of run.json. The seal finds a
// damaged disk, a truncated copy and a careless edit. It does not find a forger, who can write a new seal.
// Part of base/record.h; one thread.
//
//     int code = record_seal("out", &err);   // after the last change of run.json
#ifndef POOLMARK_BASE_RECORD_SEAL_H
#define POOLMARK_BASE_RECORD_SEAL_H

#include "base/err.h"

#define RECORD_SEAL "run.json.sha256"

// Writes DIR/run.json.sha256 for DIR/run.json as it is on disk. Returns -errno with the text when run.json
// cannot be read or the seal cannot be written; then there is no seal.
int record_seal(const char *dir, struct err *err) __attribute__((warn_unused_result));

#endif
