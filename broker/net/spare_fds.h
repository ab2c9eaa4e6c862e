// SPDX-License-Identifier: Apache-2.0
// Descriptors kept for the time when the process has no other left. With one of them a waiting client can be
// accepted, told why it is refused, and closed. Without them the listening socket would stay readable, and
// the loop would spin.
//
// One set a loop, its thread only. The loops of a process share a lock: a descriptor is taken under the
// read lock. Under the write lock a loop gives one of its spare ones up and accepts a client with it, so that
// no other loop can take it in between.
#ifndef POOLMARK_BROKER_NET_SPARE_FDS_H
#define POOLMARK_BROKER_NET_SPARE_FDS_H

#include <pthread.h>

enum { SPARE_FDS = 8 };

struct spare_fds {
    pthread_rwlock_t *lock; // of all loops
    int fds[SPARE_FDS];
    int count;
    int copied_fd; // the descriptor that the spare ones are copies of
};

// Puts the descriptors aside; `any_fd` stays open as long as they. 0 or -EMFILE.
int spare_fds_open(struct spare_fds *spare, pthread_rwlock_t *lock, int any_fd)
    __attribute__((warn_unused_result));
void spare_fds_close(struct spare_fds *spare);

// Accepts a client. A descriptor, or -errno of accept.
int spare_fds_accept(struct spare_fds *spare, int listening_fd) __attribute__((warn_unused_result));

// Accepts a client with a spare descriptor. A descriptor, -EMFILE when none is left, or another
// -errno of accept.
int spare_fds_accept_last(struct spare_fds *spare, int listening_fd) __attribute__((warn_unused_result));

// Closes `fd`, or keeps it as a spare one when one is missing.
void spare_fds_take(struct spare_fds *spare, int fd);

void spare_fds_fill(struct spare_fds *spare); // as far as the system lets it; now and then

#endif
