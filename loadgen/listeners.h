// SPDX-License-Identifier: Apache-2.0
// The listening sockets at the addresses of the targets, as far as they are on this host: in this network namespace, where the
// address stays in it, or in that of a watched process that has the address. One thread.
//
//     listeners_find(&found, &plan, pids, count);
//     for (int i = 0; i < found.count; i++)
//         ... found.list[i].inode ...
#ifndef POOLMARK_LOADGEN_LISTENERS_H
#define POOLMARK_LOADGEN_LISTENERS_H

#include "base/tcp_table.h"
#include "loadgen/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum { LISTENERS_MAX = 4096 };

struct listener {
    uint64_t inode;
    const struct plan_target *target;
    bool owned; // the caller's: by a watched process
};

struct listeners {
    struct listener list[LISTENERS_MAX];
    int count;
};

// Those that a connect to a target reaches: at its address, else at all addresses.
void listeners_find(struct listeners *found, const struct plan *plan, const int64_t *pids, int count);

// Marks those that are among the sockets. Returns their number.
int listeners_mark(struct listeners *found, const struct tcp_sockets *sockets);

// The target's address as sockets connect to it: 0.0.0.0 is the loopback.
struct tcp_end listeners_end(const struct plan_target *target);

// Is the process in another network namespace than this one?
bool listeners_apart(int64_t pid);

#endif
