// SPDX-License-Identifier: Apache-2.0
#include "broker/net/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static void fill(struct reserve *reserve)
{
    while (reserve->count < RESERVE_DESCRIPTORS) {
        int fd = fcntl(reserve->copied_fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return;
        reserve->fds[reserve->count++] = fd;
    }
}

int reserve_open(struct reserve *reserve, pthread_rwlock_t *lock, int any_fd)
{
    *reserve = (struct reserve){.lock = lock, .copied_fd = any_fd};
    fill(reserve);
    return reserve->count > 0 ? 0 : -EMFILE;
}

void reserve_close(struct reserve *reserve)
{
    while (reserve->count > 0)
        close(reserve->fds[--reserve->count]);
}

void reserve_fill(struct reserve *reserve)
{
    pthread_rwlock_rdlock(reserve->lock);
    fill(reserve);
    pthread_rwlock_unlock(reserve->lock);
}

static int accept_one(int listening_fd)
{
    int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int reserve_accept(struct reserve *reserve, int listening_fd)
{
    pthread_rwlock_rdlock(reserve->lock);
    int fd = accept_one(listening_fd);
    pthread_rwlock_unlock(reserve->lock);
    return fd;
}

int reserve_accept_last(struct reserve *reserve, int listening_fd)
{
    if (reserve->count == 0)
        return -EMFILE;
    pthread_rwlock_wrlock(reserve->lock);
    close(reserve->fds[--reserve->count]);
    int fd = accept_one(listening_fd);
    if (fd < 0)
        fill(reserve);
    pthread_rwlock_unlock(reserve->lock);
    return fd;
}

void reserve_take(struct reserve *reserve, int fd)
{
    // In one step: no other loop can take the descriptor for a client.
    if (reserve->count < RESERVE_DESCRIPTORS && dup3(reserve->copied_fd, fd, O_CLOEXEC) >= 0)
        reserve->fds[reserve->count++] = fd;
    else
        close(fd);
}
