// SPDX-License-Identifier: Apache-2.0
// Settings of the host that move figures and are easily forgotten. One table has them all; readers take the names from the
// records and know none of them (scripts/python/poolmark/facts/comparable.py, loadgen/summary_ranks.c). A setting that cannot
// be read is null: not known, which is no difference from a known one. So a record of a version with fewer settings stays
// comparable.
#ifndef POOLMARK_BASE_HOST_SETTINGS_H
#define POOLMARK_BASE_HOST_SETTINGS_H

#include <jansson.h>
#include <sys/types.h>

// {"thp_defrag": "madvise", "tcp_rmem": [4096, 131072, 6291456], ...}. `root` as in base/host_files.h; settings of this
// process (memory without huge pages, addresses not randomised) are read from the kernel itself.
json_t *host_settings(const char *root);

// How the kernel schedules a process: "other", "batch", "idle", "fifo", "rr", "deadline"; NULL: that cannot be read.
const char *host_scheduling(pid_t pid);

// The governors that the processors have: "performance", or "performance, powersave".
json_t *host_governor(const char *root);

// What of a host's facts (base/host.h) is another than before: {"thp": ["madvise", "always"], "settings.aslr": [..]}. Facts that
// change by themselves, or by the program's own doing (memory_bytes, nofile_soft), and those not known are left out. NULL when out
// of memory.
json_t *host_changes(const json_t *before, const json_t *after);

#endif
