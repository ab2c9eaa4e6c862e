// SPDX-License-Identifier: Apache-2.0
// The kernel memory of a connection. Slab and the TCP line of sockstat are of the whole host, so what others do
// meanwhile is in their growth. It is a figure only where it is that of the connections' sockets:
//
// - Where /proc/slabinfo may be read, the caches of sockets grew by as much, give or take a fifth. Slab is pages
//   and the caches are counted by objects; epoll's entries (5 %) and free places in slabs lie between the two.
//   And no more sockets came than both ends of the connections have.
// - Elsewhere, the first connections (a tenth) took as much each as the others.
//
// The figure is of both ends of a connection. There is none where the target's ends are on another host.
#ifndef POOLMARK_LOADGEN_KERNEL_GROWTH_H
#define POOLMARK_LOADGEN_KERNEL_GROWTH_H

#include "loadgen/run.h"

// kernel.per_connection_bytes. NaN when a sample lacks a value, and, with an anomaly of `run` (`resolution`,
// `kernel_noise`), when it is not that of the connections. `low` may be `start`.
double kernel_growth(struct run *run, const struct sample *start, const struct sample *low,
                     const struct sample *full);

#endif
