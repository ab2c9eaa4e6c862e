// SPDX-License-Identifier: Apache-2.0
// The account of all bytes that a broker holds for its clients, by purpose, with a limit on their sum. Take
// before you allocate; give after you free. Any thread.
//
// Messages, retained topics and subscriptions can outlive their client's connection. They are refused a
// sixteenth before the limit. So clients can still connect, get answers, and remove what they left.
// Packets that are larger than a read buffer and have not come whole may take half of the limit, so that those
// who never end them leave the rest to others. What is retained may take three quarters of it.
//
// A heap allocation counts as glibc rounds it, in steps of 16 bytes. An object of a pool counts with its
// size. The reserve of the pools is counted each second (account_set_reserve). Not counted: the broker
// itself, the stacks of its threads, and socket buffers, which the kernel holds.
//
//     if (!account_take(account, ACCOUNT_MESSAGES, bytes)) ...refuse the work...
//     account_give(account, ACCOUNT_MESSAGES, bytes);
#ifndef POOLMARK_BROKER_MQTT_ACCOUNT_H
#define POOLMARK_BROKER_MQTT_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// X(NAME, name, help), in the order in which they are reported.
#define ACCOUNTS(X)                                                                                          \
    X(CONNECTIONS, connections, "objects of connections")                                                    \
    X(INPUT, input, "read buffers")                                                                          \
    X(UNFINISHED, unfinished, "packets larger than a read buffer that have not come whole")                  \
    X(OUTPUT, output, "write buffers")                                                                       \
    X(SESSIONS, sessions, "sessions, their queues and windows, and arenas")                                  \
    X(SUBSCRIPTIONS, subscriptions, "subscriptions and their topic filters")                                 \
    X(RETAINED, retained, "topic names of retained messages")                                                \
    X(MESSAGES, messages, "messages, each once, whoever waits for it")                                       \
    X(RESERVE, reserve, "objects that the pools own and nobody uses")

enum account_kind {
#define X(NAME, name, help) ACCOUNT_##NAME,
    ACCOUNTS(X)
#undef X
        ACCOUNT_KINDS
};

struct account {
    // One cache line: a take adds to one number and reads all.
    _Alignas(64) _Atomic int64_t bytes[ACCOUNT_KINDS];
    _Alignas(64) int64_t limit; // of the sum; 0: none
    int64_t limit_of_stores;    // of the sum, for subscriptions, retained topics and messages
    int64_t most_unfinished;    // of ACCOUNT_UNFINISHED alone
    int64_t most_retained;      // of ACCOUNT_RETAINED and the messages that are retained
    _Atomic int64_t peak;       // highest sum seen
    _Atomic int64_t refused;    // times that account_take returned false
};

// The account at one time.
struct account_reading {
    int64_t bytes[ACCOUNT_KINDS], sum, peak, limit, refused;
};

void account_open(struct account *account, int64_t limit);

// false: the sum would pass its limit, and nothing was taken. For NULL nothing is counted: always true.
bool account_take(struct account *account, enum account_kind kind, size_t bytes)
    __attribute__((warn_unused_result));
void account_give(struct account *account, enum account_kind kind, size_t bytes);

// Whether retained topics and `messages` bytes of retained messages, all of which were taken before, are within
// their share. For NULL, and without a limit: true.
bool account_may_retain(const struct account *account, int64_t messages);

// Replaces the reserve that was set before. Never refused, because the pools own this memory already.
void account_set_reserve(struct account *account, int64_t bytes);

int64_t account_refused(const struct account *account); // times that account_take returned false
int64_t account_sum(const struct account *account);
void account_read(const struct account *account, struct account_reading *reading);

// The bytes that the heap uses for a request of `bytes`.
static inline size_t account_heap_bytes(size_t bytes)
{
    return (bytes + sizeof(size_t) + 15) & ~(size_t)15;
}

#endif
