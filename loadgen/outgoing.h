// SPDX-License-Identifier: Apache-2.0
// Connections that the target's processes made themselves, to others: a bridge to another broker, a database that knows its
// users. What they carry is work of the target that no client of the run asked for, as far as anybody knows.
//
// Those that were there before the run are known (owners.h). One that is made later is looked for among the target's
// descriptors when it has carried more than OUTGOING_BYTES, once; a target with more than OUTGOING_LISTED descriptors is not
// looked through. A target that has made as many connections as the run has clients is a proxy: those are the run's. One thread.
//
//     outgoing_begin(&outgoing);
//     outgoing_see(&outgoing, &row);                 // each of a list that is not at a listener of the target
//     more_bytes = outgoing_end(&outgoing, clients); // that they carried since the list before
#ifndef POOLMARK_LOADGEN_OUTGOING_H
#define POOLMARK_LOADGEN_OUTGOING_H

#include "base/sockdiag.h"
#include "base/tcp_table.h"
#include "loadgen/foreign.h"
#include "loadgen/numbers.h"

enum {
    OUTGOING_BYTES = 64 << 10, // fewer are no load
    OUTGOING_LISTED = 5000,
    OUTGOING_ASKED = 256, // sockets that are looked for in a run: the host's other programs have some too
};

struct outgoing_candidate {
    uint64_t inode, cookie;
    int64_t bytes;
};

struct outgoing {
    const int64_t *pids; // the target's, the caller's memory
    int count;
    const struct tcp_sockets *known; // from before the run, the caller's memory
    struct tcp_sockets later;        // of connections that were made since
    uint64_t asked[OUTGOING_ASKED];  // cookies of sockets that are no target's
    int asked_count;
    struct foreign carried;
    struct outgoing_candidate candidates[OUTGOING_ASKED];
    int candidate_count;
    struct numbers seen; // inodes of the list
    bool compared;       // there was a list before
};

void outgoing_begin(struct outgoing *outgoing);
bool outgoing_has(const struct outgoing *outgoing, uint64_t inode);
void outgoing_see(struct outgoing *outgoing, const struct sockdiag_row *row);
// `clients`: connections of the run now.
int64_t outgoing_end(struct outgoing *outgoing, int64_t clients);
void outgoing_close(struct outgoing *outgoing);

#endif
