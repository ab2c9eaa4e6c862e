// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/refuse.h"

#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/net/loop.h"
#include "wire/mqtt_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void fill_reserve(struct refusals *refusals)
{
    while (refusals->reserve_count < REFUSAL_RESERVE) {
        int fd = fcntl(refusals->spare_from, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return;
        refusals->reserve[refusals->reserve_count++] = fd;
    }
}

int refusals_open(struct refusals *refusals, int any_fd)
{
    *refusals = (struct refusals){.spare_from = any_fd};
    fill_reserve(refusals);
    return refusals->reserve_count > 0 ? 0 : -EMFILE;
}

// The descriptor goes to the reserve when that lacks one, in one step: no other loop can take it for a
// client.
static void finish(struct refusals *refusals, struct refusal *refusal)
{
    if (refusals->reserve_count < REFUSAL_RESERVE && dup3(refusals->spare_from, refusal->fd, O_CLOEXEC) >= 0)
        refusals->reserve[refusals->reserve_count++] = refusal->fd;
    else
        close(refusal->fd);
    refusal->fd = -1;
    refusals->count--;
}

void refusals_close(struct refusals *refusals)
{
    for (int i = 0; refusals->slots && i < REFUSAL_SLOTS; i++)
        if (refusals->slots[i].fd >= 0)
            close(refusals->slots[i].fd);
    for (int i = 0; i < refusals->reserve_count; i++)
        close(refusals->reserve[i]);
    free(refusals->slots);
}

int refusals_accept(struct loop *loop, int listening_fd)
{
    struct refusals *refusals = &loop->refusals;
    if (refusals->reserve_count == 0)
        return -EMFILE;
    pthread_rwlock_wrlock(&loop->broker->descriptors);
    close(refusals->reserve[--refusals->reserve_count]);
    int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int code = fd < 0 ? -errno : fd;
    if (fd < 0)
        fill_reserve(refusals);
    pthread_rwlock_unlock(&loop->broker->descriptors);
    return code;
}

// [MQTT-3.2.2-5]: a return code that is not zero, then the connection is closed. The client sees our end
// closed, and closes its own.
static void answer(int fd)
{
    uint8_t packet[4];
    int bytes = mqtt_connack_encode(packet, sizeof packet, MQTT_REFUSED_UNAVAILABLE, false);
    if (bytes > 0 && send(fd, packet, (size_t)bytes, MSG_NOSIGNAL) == bytes)
        shutdown(fd, SHUT_WR);
}

static struct refusal *free_slot(struct refusals *refusals)
{
    if (!refusals->slots) {
        refusals->slots = malloc(REFUSAL_SLOTS * sizeof *refusals->slots);
        if (!refusals->slots)
            return NULL;
        for (int i = 0; i < REFUSAL_SLOTS; i++)
            refusals->slots[i] = (struct refusal){.source = SOURCE_REFUSAL, .fd = -1};
    }
    struct refusal *oldest = &refusals->slots[0];
    for (int i = 0; i < REFUSAL_SLOTS; i++) {
        struct refusal *slot = &refusals->slots[i];
        if (slot->fd < 0)
            return slot;
        if (slot->deadline_tick < oldest->deadline_tick)
            oldest = slot;
    }
    // All are in use: the oldest has had the longest time to send its CONNECT or to read its answer.
    if (!oldest->is_answered)
        answer(oldest->fd);
    finish(refusals, oldest);
    return oldest;
}

void refusals_add(struct loop *loop, int fd)
{
    struct refusals *refusals = &loop->refusals;
    struct refusal *slot = free_slot(refusals);
    if (slot) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
        slot->fd = fd;
        slot->is_answered = false;
        slot->deadline_tick = loop->tick + REFUSAL_PATIENCE_S * TIMER_TICKS_PER_S;
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) {
            refusals->count++;
            return;
        }
        slot->fd = -1;
    }
    answer(fd);
    close(fd);
}

// Which events came is not asked: they may be of the client that had the slot before, in the same turn. The
// socket tells what there is.
void refusals_on_event(struct loop *loop, struct refusal *refusal)
{
    if (refusal->fd < 0)
        return;
    ssize_t got = recv(refusal->fd, loop->scratch, LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS))
        return;
    if (got <= 0) {
        finish(&loop->refusals, refusal);
        return;
    }
    // Only who began with a CONNECT gets an answer [MQTT-3.1.0-1]; what comes after it is dropped.
    if (!refusal->is_answered && loop->scratch[0] >> 4 != MQTT_CONNECT) {
        finish(&loop->refusals, refusal);
        return;
    }
    if (!refusal->is_answered)
        answer(refusal->fd);
    refusal->is_answered = true;
}

void refusals_on_tick(struct loop *loop)
{
    struct refusals *refusals = &loop->refusals;
    pthread_rwlock_rdlock(&loop->broker->descriptors);
    fill_reserve(refusals);
    pthread_rwlock_unlock(&loop->broker->descriptors);
    for (int i = 0; refusals->count > 0 && i < REFUSAL_SLOTS; i++) {
        struct refusal *slot = &refusals->slots[i];
        if (slot->fd < 0 || slot->deadline_tick > loop->tick)
            continue;
        // It may have sent its CONNECT long ago, and we were late.
        if (!slot->is_answered)
            refusals_on_event(loop, slot);
        if (slot->fd >= 0)
            finish(refusals, slot);
    }
}
