// SPDX-License-Identifier: Apache-2.0
// The connections in lists of sockets that are read one after the other (base/sockdiag.h): how many are new.
//
// The addresses and ports of a connection alone do not tell it from an earlier one: once that has ended, the same client or
// another program may have them again. So a connection is also known by the socket that is established at one of its ends.
// What had ended does not become established again, and an established socket does not become another. One thread.
//
//     seen.now.count = 0;
//     if (!seen_add(&seen, &row)) ...              // each row of a list, also both ends of a connection
//     seen_count_new(&seen, &begun);               // its end: seen.count grows by those that the list before does not have
#ifndef POOLMARK_LOADGEN_SEEN_H
#define POOLMARK_LOADGEN_SEEN_H

#include "base/sockdiag.h"

#include <stddef.h>

struct seen_connection {
    uint64_t number; // of the addresses and ports of both ends
    uint64_t
        socket; // the cookie of the established socket at the first end; 0: none is; UINT64_MAX: at the other end
};

struct seen_list { // sorted before they are searched
    struct seen_connection *list;
    size_t count, capacity;
};

struct seen {
    struct seen_list before, now; // of the last list, and of this one
    int64_t count;                // those that came since the first list
};

// Of the addresses and ports of both ends: the same for the rows of both.
uint64_t seen_number(const struct sockdiag_row *row);

// False: out of memory.
bool seen_add(struct seen *seen, const struct sockdiag_row *row);
// The list is whole. `*begun`: there was one before; true from then on.
void seen_count_new(struct seen *seen, bool *begun);
void seen_forget(struct seen *seen); // frees the present list, which the next one will be
void seen_close(struct seen *seen);  // frees both

#endif
