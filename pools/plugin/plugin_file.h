// SPDX-License-Identifier: Apache-2.0
// The file of a plug-in, checked before a byte of it runs. It has to be a regular file of this user or of root
// that nobody else may write, in a folder where nobody else may replace it, and a shared library for this
// processor. Its SHA-256 is of the bytes that were checked.
//
//     struct plugin_file file;
//     if (plugin_file_check(&file, "./mine.so", &err) < 0) ...
//     dlopen(file.path, ...);
//     if (plugin_file_check_same(&file, &err) < 0) ...      // replaced meanwhile
#ifndef POOLMARK_POOLS_PLUGIN_PLUGIN_FILE_H
#define POOLMARK_POOLS_PLUGIN_PLUGIN_FILE_H

#include "base/err.h"

#include <limits.h>
#include <sys/types.h>
#include <time.h>

enum { PLUGIN_NAME_SIZE = 256, PLUGIN_SHA256_SIZE = 65 };

struct plugin_file {
    char path[PATH_MAX];             // absolute, without symbolic links
    char name[PLUGIN_NAME_SIZE];     // its last component, as the caller wrote it
    char sha256[PLUGIN_SHA256_SIZE]; // in hexadecimal
    dev_t device;
    ino_t number;
    off_t bytes;
    struct timespec changed;
};

// 0, or -EINVAL: `err` names the file as the caller wrote it, the fault, and what to do about it.
int plugin_file_check(struct plugin_file *file, const char *path, struct err *err)
    __attribute__((warn_unused_result));

// Is the path still that file, unchanged? 0 or -EINVAL.
int plugin_file_check_same(const struct plugin_file *file, struct err *err)
    __attribute__((warn_unused_result));

#endif
