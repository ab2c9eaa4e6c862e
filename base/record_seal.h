// SPDX-License-Identifier: Apache-2.0
// The seal of a record: run.json.sha256 beside run.json, as sha256sum writes it and `sha256sum -c` reads it.
//
// run.json has the checksums of all other files and nothing has its own. The seal finds a damaged disk, a cut
// copy and a careless edit. It does not find a forger, who can write a new seal. Part of base/record.h; one
// thread.
//
//     int code = record_seal("out", &err);   // once run.json is as it stays
#ifndef POOLMARK_BASE_RECORD_SEAL_H
#define POOLMARK_BASE_RECORD_SEAL_H

#include "base/err.h"

#define RECORD_SEAL "run.json.sha256"

// Writes DIR/run.json.sha256 of DIR/run.json as it is on disk. -errno with the text when one cannot be read
// or the other not written; then there is no seal.
int record_seal(const char *dir, struct err *err) __attribute__((warn_unused_result));

#endif
