// SPDX-License-Identifier: Apache-2.0
// Which watched processes that do not listen at a target have connections of the run all the same, and how many:
//
// - sockets whose other end, or whose own, is that of a connect to the target's address: another process accepted them and
//   passed them on, or a rule of the host's firewall leads them there;
// - sockets whose other end is of a process that listens at the target's address: a proxy in front of the watched one.
//
// Lists the descriptors of these processes, and of all others that may be looked into where none of these has a connection.
// One thread; call while clients are connected, after a reading of memory.
#ifndef POOLMARK_LOADGEN_HOLDERS_H
#define POOLMARK_LOADGEN_HOLDERS_H

#include "loadgen/owners.h"

enum { HOLDERS_LOOKS = 4 }; // more find nothing new, and cost memory of the kernel

// `open`: connections of the run now. Nothing where all watched processes listen, or none may be looked into.
void holders_look(struct owners *owners, const struct plan *plan, const int64_t *pids, int count,
                  int64_t open);

#endif
