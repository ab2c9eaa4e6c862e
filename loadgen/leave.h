// SPDX-License-Identifier: Apache-2.0
// How a client leaves: what the target sees of it.
#ifndef POOLMARK_LOADGEN_LEAVE_H
#define POOLMARK_LOADGEN_LEAVE_H

enum leave {
    LEAVE_DISCONNECT,       // DISCONNECT, then the socket is closed
    LEAVE_FIN,              // the socket is closed; the kernel sends RST instead if bytes were left unread
    LEAVE_RST,              // the connection is reset
    LEAVE_WAYS,             // the ways that an engine knows; those below are of orders
    LEAVE_MIX = LEAVE_WAYS, // the three in turn
    LEAVE_COUNT,
};

#endif
