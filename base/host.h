// SPDX-License-Identifier: Apache-2.0
// Facts about the host that figures depend on, and the limits that a large run meets. No names, no addresses.
#ifndef POOLMARK_BASE_HOST_H
#define POOLMARK_BASE_HOST_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

// {"cores", "memory_bytes", "kernel", "os", "cpu_model", "cpu_mitigations", "governor", "thp" (transparent
// huge pages), "page_bytes", "virtualised", "cgroup": {"memory_limit_bytes", "memory_high_bytes", "cpu_quota_cores"}
// (base/cgroup.h), "limits": {"nofile_soft", "nofile_hard", "file_max", "nr_open", "port_range": [low, high],
// "somaxconn", "tcp_mem_pages": [..], "max_map_count"}, "settings" (base/host_settings.h), "loaded": {"allocator", "allocator_version", "settings",
// "libc"}}. `cores` counts the CPUs that this process may use. A fact that cannot be read is null, never
// guessed. NULL when out of memory.
json_t *host_facts(void);

// CPUs that this process may run on. A container or taskset may allow fewer than the machine has.
int64_t host_cores(void);

// Raises the soft limit of RLIMIT_NOFILE to the hard limit. `*limit` becomes the limit now in force.
int host_raise_nofile(int64_t *limit, struct err *err) __attribute__((warn_unused_result));

#endif
