// SPDX-License-Identifier: Apache-2.0
// Connections of others to the target that are there at a reading, each known by the cookie of its socket: what they carry
// from one reading to the next, and that they have ended.
//
// The kernel may tell of an end a moment after the connection has left the list. So one that is missing while somebody
// listens to the ends is awaited until the next reading; after that it counts as unheard. One thread.
//
//     foreign_begin(&foreign);
//     foreign_add(&foreign, cookie, bytes);                     // each of a list
//     foreign_end(&foreign, listened, &change);                 // the list is whole: what has changed since the one before
//     bytes = foreign_hear(&foreign, cookie, bytes, &known);    // between two lists: this connection has ended
#ifndef POOLMARK_LOADGEN_FOREIGN_H
#define POOLMARK_LOADGEN_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct foreign_one {
    uint64_t cookie;
    int64_t bytes; // carried so far
    bool heard;    // it has ended, and the kernel told with which bytes
    bool missing;  // it has left the list, and its end is awaited
};

struct foreign_list { // sorted before it is searched
    struct foreign_one *list;
    size_t count, capacity;
};

struct foreign {
    struct foreign_list known, now; // of the last list, and of the one that is being made
};

struct foreign_change { // since the list before
    int64_t bytes;      // that connections in this list carried; of new ones all
    int64_t came;       // that the list before does not have
    int64_t left;       // that this list does not have any more
    int64_t unheard;    // that had left, and nobody heard what they had carried
};

void foreign_begin(struct foreign *foreign);
bool foreign_add(struct foreign *foreign, uint64_t cookie, int64_t bytes); // false: out of memory
// `listened`: all ends since the list before were to be told. Out of memory only drops connections that are awaited:
// they count as unheard.
void foreign_end(struct foreign *foreign, bool listened, struct foreign_change *change);
// The bytes of a known connection since it was read last. Gives 0 and false of an unknown one.
int64_t foreign_hear(struct foreign *foreign, uint64_t cookie, int64_t bytes, bool *known);
// The same of one that goes on.
int64_t foreign_look(struct foreign *foreign, uint64_t cookie, int64_t bytes);
void foreign_close(struct foreign *foreign);

#endif
