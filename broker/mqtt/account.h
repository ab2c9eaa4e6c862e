// SPDX-License-Identifier: Apache-2.0
// One account of the bytes that a broker holds for its clients, by what they are for, and the limit on their
// sum. Take before you allocate; give after you free. Any thread.
//
// Messages, retained topics and subscriptions stay when their client is done. They are refused a sixteenth
// before the limit, so that clients can still come, be answered, and remove what they left.
//
// What an allocation costs is counted as glibc's heap has it, 16 bytes at a time; an object of a pool counts
// with its size. Objects that the pools own beyond those in use are counted each second
// (account_set_reserve). Not counted: the broker itself, its threads' stacks, and the sockets' buffers, which
// are the kernel's.
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
    X(INPUT, input, "packets that have not come whole, and read buffers")                                    \
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
    // One line of the cache: who takes adds to one and reads all.
    _Alignas(64) _Atomic int64_t bytes[ACCOUNT_KINDS];
    _Alignas(64) int64_t limit; // of the sum; 0: none
    int64_t limit_of_stores;    // of the sum, for what stays: subscriptions, retained, messages
    _Atomic int64_t peak;       // highest sum seen
    _Atomic int64_t refused;    // times that account_take gave false
};

// The account at one time.
struct account_reading {
    int64_t bytes[ACCOUNT_KINDS], sum, peak, limit, refused;
};

void account_open(struct account *account, int64_t limit);

// false: the sum would pass its limit, and nothing was taken. NULL is an account without a limit.
bool account_take(struct account *account, enum account_kind kind, size_t bytes)
    __attribute__((warn_unused_result));
void account_give(struct account *account, enum account_kind kind, size_t bytes);

// In place of what was set before; refused to nobody, since it is there already.
void account_set_reserve(struct account *account, int64_t bytes);

int64_t account_refused(const struct account *account); // times that account_take gave false
int64_t account_sum(const struct account *account);
void account_read(const struct account *account, struct account_reading *reading);

// What the heap spends on a request of `bytes`.
static inline size_t account_heap_bytes(size_t bytes)
{
    return (bytes + sizeof(size_t) + 15) & ~(size_t)15;
}

#endif
