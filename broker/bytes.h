// SPDX-License-Identifier: Apache-2.0
// The bytes of this process by account: what the broker's own books have, laid beside what the kernel has
// (base/mappings.h) and what the allocator has (base/heap.h). All accounts add up to the PSS of the process, with what
// is swapped out. What is in
// no book is the last account, `rest`.
//
//     struct bytes_start start;
//     bytes_begin(&start);                                     // before the pools are opened
//     ...
//     struct bytes bytes;
//     if (bytes_read(broker, &start, &bytes) == 0) bytes_print(&bytes, stdout);
//
// Books count a block of the heap as glibc rounds it. With an allocator that does not say what is in use (mimalloc,
// that of a sanitizer) free heap is in `rest`.
#ifndef POOLMARK_BROKER_BYTES_H
#define POOLMARK_BROKER_BYTES_H

#include "base/csv.h"
#include "broker/broker.h"

#include <stdio.h>

// X(NAME, name, help), in the order of tables.
#define BYTES_ACCOUNTS(X)                                                                                    \
    X(OBJECTS, objects, "objects of connections")                                                            \
    X(ARENAS, arenas, "arena blocks; sessions lie in them")                                                  \
    X(BUFFERS, buffers, "read and write buffers, and packets larger than these that have not come whole")    \
    X(MESSAGES, messages, "messages, retained ones among them")                                              \
    X(SESSIONS, sessions, "queues and windows of sessions, and sessions too large for an arena block")       \
    X(SUBSCRIPTIONS, subscriptions, "subscriptions and the tree of their filters")                           \
    X(RETAINED, retained, "the tree of topics of retained messages")                                         \
    X(TABLES, tables, "the table of sessions, and lists of new connections and of addresses")                \
    X(LOOPS, loops, "event loops with their read buffers and mailboxes")                                     \
    X(RESERVE, reserve, "objects that the pools own and nobody uses")                                        \
    X(BOOKKEEPING, bookkeeping, "what the pools need beside objects: lists, maps, headers, gaps")            \
    X(ROUNDING, rounding, "what the allocator adds to objects and blocks of the pools: headers, rounding")   \
    X(FREE, free, "free in the heap, less what was taken and never written")                                 \
    X(PROGRAM, program, "what the program had taken before it opened its pools: options, record, libraries") \
    X(STACKS, stacks, "stacks of threads")                                                                   \
    X(DATA, data, "data of the program and its libraries")                                                   \
    X(CODE, code, "pages of files, code mostly; a page that others have mapped too counts in part")          \
    X(REST, rest, "not accounted for")

enum bytes_account {
#define X(NAME, name, help) BYTES_##NAME,
    BYTES_ACCOUNTS(X)
#undef X
        BYTES_ACCOUNT_COUNT
};

// What the program has before it serves.
struct bytes_start {
    int64_t heap_in_use, other; // 0: not known
};

struct bytes {
    int64_t at_ns, connections;
    int64_t account[BYTES_ACCOUNT_COUNT]; // those that are a difference may be negative
    int64_t pss, anonymous, huge; // of the process, with swap; of it anonymous, and of that in huge pages
    int64_t swap;                 // of the anonymous: swapped out
    int64_t heap, heap_in_use;    // resident or swapped out; handed out by the allocator, -1: not known
    int64_t maps, other;          // mapped by pools; anonymous and of no known owner
};

#define BYTES_COLUMN(NAME, name, help) "," #name "_bytes"
#define BYTES_HEADER                                                                                         \
    "at_ns,moment,connections" BYTES_ACCOUNTS(BYTES_COLUMN) ",pss_bytes,anonymous_bytes,huge_bytes,"         \
                                                            "heap_bytes,heap_in_use_bytes,maps_bytes,"       \
                                                            "other_bytes"

// Also begins to watch the maps of pools. What cannot be read is 0: it is in `rest` later.
void bytes_begin(struct bytes_start *start);

// Takes about a millisecond, more with more memory. 0, or -errno with nothing written. Any thread, while the broker runs.
// What other threads change meanwhile shows in `rest`.
int bytes_read(struct broker *broker, const struct bytes_start *start, struct bytes *bytes)
    __attribute__((warn_unused_result));

// A line for each account: "bytes_NAME  VALUE  help".
void bytes_print(const struct bytes *bytes, FILE *to);
void bytes_row(struct csv *csv, const char *moment, const struct bytes *bytes); // columns: BYTES_HEADER

// Says when the bytes are worth a line: when connections are level and other than at the last line, and after
// BYTES_PERIOD_NS without a line.
struct bytes_moments {
    int64_t connections_before; // a second ago
    int64_t connections_told, told_ns;
};
enum { BYTES_LEAST_CONNECTIONS = 64 }; // a level of fewer has no line of its own

#define BYTES_PERIOD_NS (INT64_C(20) * 1000 * 1000 * 1000)

// Call each second. "level", "later" or NULL; after a word the caller reads.
const char *bytes_moment(struct bytes_moments *moments, int64_t connections, int64_t now_ns);

#endif
