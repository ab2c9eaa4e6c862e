// SPDX-License-Identifier: Apache-2.0
// A file that an option names, read as a whole before the run. Any thread may call.
#ifndef POOLMARK_LOADGEN_WHOLE_FILE_H
#define POOLMARK_LOADGEN_WHOLE_FILE_H

#include "base/err.h"

#include <stddef.h>

// Reads the file into memory of its own, with a NUL behind the last byte, to be freed. -EINVAL with the text in `err`:
// it cannot be read, or has more than `most` bytes.
int whole_file_read(const char *path, size_t most, char **bytes, size_t *count, struct err *err)
    __attribute__((warn_unused_result));

#endif
