// SPDX-License-Identifier: Apache-2.0
#include "broker/net/spare_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static void fill(struct spare_fds *spare)
{
    while (spare->count < SPARE_FDS) {
        int fd = fcntl(spare->copied_fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return;
        spare->fds[spare->count++] = fd;
    }
}

int spare_fds_open(struct spare_fds *spare, pthread_rwlock_t *lock, int any_fd)
{
    *spare = (struct spare_fds){.lock = lock, .copied_fd = any_fd};
    fill(spare);
    return spare->count > 0 ? 0 : -EMFILE;
}

void spare_fds_close(struct spare_fds *spare)
{
    while (spare->count > 0)
        close(spare->fds[--spare->count]);
}

void spare_fds_fill(struct spare_fds *spare)
{
    pthread_rwlock_rdlock(spare->lock);
    fill(spare);
    pthread_rwlock_unlock(spare->lock);
}

static int accept_one(int listening_fd)
{
    int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int spare_fds_accept(struct spare_fds *spare, int listening_fd)
{
    pthread_rwlock_rdlock(spare->lock);
    int fd = accept_one(listening_fd);
    pthread_rwlock_unlock(spare->lock);
    return fd;
}

int spare_fds_accept_last(struct spare_fds *spare, int listening_fd)
{
    if (spare->count == 0)
        return -EMFILE;
    pthread_rwlock_wrlock(spare->lock);
    close(spare->fds[--spare->count]);
    int fd = accept_one(listening_fd);
    if (fd < 0)
        fill(spare);
    pthread_rwlock_unlock(spare->lock);
    return fd;
}

void spare_fds_take(struct spare_fds *spare, int fd)
{
    // dup3 closes and replaces `fd` in one step, so no other loop can take the descriptor in between.
    if (spare->count < SPARE_FDS && dup3(spare->copied_fd, fd, O_CLOEXEC) >= 0)
        spare->fds[spare->count++] = fd;
    else
        close(fd);
}
