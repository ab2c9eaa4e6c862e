// SPDX-License-Identifier: Apache-2.0
// Small text files read in one call: those of /proc and /sys, which the kernel generates during the read.
// Any thread may call.
#ifndef POOLMARK_BASE_TEXT_FILE_H
#define POOLMARK_BASE_TEXT_FILE_H

#include <stdint.h>
#include <sys/types.h>

// Reads at most `size` - 1 bytes and ends them with NUL. Returns the number of bytes, or -errno.
ssize_t text_file_read(const char *path, char *text, size_t size) __attribute__((warn_unused_result));

// The number after `label` at the beginning of a line ("Pss:" in "Pss:  12 kB"): 0, or -ENOENT when there is
// none.
int text_file_number(const char *text, const char *label, int64_t *number)
    __attribute__((warn_unused_result));

#endif
