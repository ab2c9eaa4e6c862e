// SPDX-License-Identifier: Apache-2.0
// Spare descriptors, for the time when the process has no other left. With a spare descriptor the broker can
// accept a waiting client, refuse it with a CONNACK, and close it. Without one the listening socket would
// stay readable, and the loop would spin.
//
// Each loop has one set; only its thread touches it. All loops of a process share a lock. accept runs under
// the read lock. Under the write lock a loop closes a spare descriptor and accepts a client in its place, so
// no other loop can take the descriptor in between.
#ifndef POOLMARK_BROKER_NET_SPARE_FDS_H
#define POOLMARK_BROKER_NET_SPARE_FDS_H

#include <pthread.h>

enum { SPARE_FDS = 8 };

struct spare_fds {
    pthread_rwlock_t *lock; // of all loops
    int fds[SPARE_FDS];
    int count;
    int copied_fd; // the spare descriptors are copies of this one
};

// Reserves the descriptors, as copies of `any_fd`, which must stay open until spare_fds_close. 0 when at
// least one was reserved, else -EMFILE.
int spare_fds_open(struct spare_fds *spare, pthread_rwlock_t *lock, int any_fd)
    __attribute__((warn_unused_result));
void spare_fds_close(struct spare_fds *spare);

// Accepts a client. Returns its descriptor, or -errno of accept.
int spare_fds_accept(struct spare_fds *spare, int listening_fd) __attribute__((warn_unused_result));

// Accepts a client in place of a spare descriptor. Returns the client's descriptor, -EMFILE when no spare one
// is left, or -errno of accept.
int spare_fds_accept_last(struct spare_fds *spare, int listening_fd) __attribute__((warn_unused_result));

// Closes `fd`, or makes it a spare descriptor when the set is not full.
void spare_fds_take(struct spare_fds *spare, int fd);

void spare_fds_fill(struct spare_fds *spare); // reserves missing descriptors, as many as it can get

#endif
