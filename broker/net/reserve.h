// SPDX-License-Identifier: Apache-2.0
// Descriptors kept for the time when the process has no other left. With one of them a waiting client can be
// accepted, told why it is refused, and closed. Without them the listening socket would stay readable, and
// the loop would spin.
//
// One reserve a loop, its thread only. The loops of a process share a lock: a descriptor is taken under the
// read lock. Under the write lock a loop gives one of its reserve up and accepts a client with it, so that no
// other loop can take it in between.
#ifndef POOLMARK_BROKER_NET_RESERVE_H
#define POOLMARK_BROKER_NET_RESERVE_H

#include <pthread.h>

enum { RESERVE_DESCRIPTORS = 8 };

struct reserve {
    pthread_rwlock_t *lock; // of all loops
    int fds[RESERVE_DESCRIPTORS];
    int count;
    int copied_fd; // the descriptor that those of the reserve are copies of
};

// Puts the descriptors aside; `any_fd` stays open as long as the reserve. 0 or -EMFILE.
int reserve_open(struct reserve *reserve, pthread_rwlock_t *lock, int any_fd)
    __attribute__((warn_unused_result));
void reserve_close(struct reserve *reserve);

// Accepts a client. A descriptor, or -errno of accept.
int reserve_accept(struct reserve *reserve, int listening_fd) __attribute__((warn_unused_result));

// Accepts a client with a descriptor of the reserve. A descriptor, -EMFILE when none is left, or another
// -errno of accept.
int reserve_accept_last(struct reserve *reserve, int listening_fd) __attribute__((warn_unused_result));

// Closes `fd`, or takes it into the reserve when that lacks one.
void reserve_take(struct reserve *reserve, int fd);

void reserve_fill(struct reserve *reserve); // as far as the system lets it; now and then

#endif
