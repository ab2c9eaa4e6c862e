// SPDX-License-Identifier: Apache-2.0
// Facts in small files of /proc and /sys, as JSON. What cannot be read, or is not UTF-8, is null. `root` is the root of the
// files, "" but in tests. Any thread may call.
//
//     host_file_chosen("", "/sys/kernel/mm/transparent_hugepage/enabled")       // "madvise"
//     host_file_numbers("", "/proc/sys/net/ipv4/ip_local_port_range", 2)        // [32768, 60999]
#ifndef POOLMARK_BASE_HOST_FILES_H
#define POOLMARK_BASE_HOST_FILES_H

#include <jansson.h>

json_t *host_text(const char *text); // null for NULL and ""

// The first line.
json_t *host_file_line(const char *root, const char *path);
// The first `count` numbers of it: an array, or the number itself when `count` is 1.
json_t *host_file_numbers(const char *root, const char *path, int count);
// The word in brackets of it: "always [madvise] never".
json_t *host_file_chosen(const char *root, const char *path);
// The first lines of the files FOLDER/NAME*/FILE, each once, sorted and separated by ", ": one that differs among processors.
// At most 16 different ones.
json_t *host_files_lines(const char *root, const char *folder, const char *name, const char *file);

#endif
