// SPDX-License-Identifier: Apache-2.0
#include "broker/net/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

int turn_open(struct turn *turn, const char **failed)
{
    int code = -ENOMEM;
    timer_wheel_init(&turn->wheel, 0);
    *failed = "malloc";
    turn->scratch = malloc(TURN_SCRATCH_BYTES);
    if (!turn->scratch)
        return code;
    *failed = "epoll_create1";
    turn->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    code = -errno;
    if (turn->epoll_fd < 0)
        goto fail_scratch;
    *failed = "eventfd";
    code = mailbox_open(&turn->mailbox);
    if (code < 0)
        goto fail_epoll;
    *failed = "epoll_ctl";
    turn->mailbox.source = SOURCE_MAILBOX;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &turn->mailbox};
    if (epoll_ctl(turn->epoll_fd, EPOLL_CTL_ADD, turn->mailbox.event_fd, &event) == 0)
        return 0;
    code = -errno;
    mailbox_close(&turn->mailbox);
fail_epoll:
    close(turn->epoll_fd);
fail_scratch:
    free(turn->scratch);
    return code;
}

void turn_close(struct turn *turn)
{
    mailbox_close(&turn->mailbox);
    close(turn->epoll_fd);
    free(turn->deferred);
    free(turn->scratch);
}

size_t turn_bytes(struct turn *turn)
{
    return TURN_SCRATCH_BYTES + mailbox_capacity(&turn->mailbox) * sizeof(struct mail) +
           atomic_load_explicit(&turn->deferred_capacity, memory_order_relaxed) * sizeof turn->deferred[0];
}

int turn_post(struct turn *turn, const struct mail *mail, size_t limit)
{
    return mailbox_post(&turn->mailbox, mail, limit);
}

void turn_add_pending(struct transport *transport)
{
    struct turn *turn = transport->turn;
    if (transport->is_pending)
        return;
    transport->is_pending = true;
    transport->next_pending = NULL;
    if (turn->pending_last)
        turn->pending_last->next_pending = transport;
    else
        turn->pending_first = transport;
    turn->pending_last = transport;
    turn->pending_count++;
}

void turn_remove_pending(struct transport *transport)
{
    struct turn *turn = transport->turn;
    if (!transport->is_pending)
        return;
    struct transport **link = &turn->pending_first, *before = NULL;
    for (; *link != transport; link = &(*link)->next_pending)
        before = *link;
    *link = transport->next_pending;
    if (turn->pending_last == transport)
        turn->pending_last = before;
    turn->pending_count--;
    transport->is_pending = false;
}

struct transport *turn_take_pending(struct turn *turn)
{
    struct transport *transport = turn->pending_first;
    if (!transport)
        return NULL;
    turn->pending_first = transport->next_pending;
    if (!turn->pending_first)
        turn->pending_last = NULL;
    turn->pending_count--;
    transport->is_pending = false;
    return transport;
}

bool turn_defer(struct transport *transport)
{
    struct turn *turn = transport->turn;
    if (transport->is_deferred)
        return true;
    size_t room = atomic_load_explicit(&turn->deferred_capacity, memory_order_relaxed);
    if (turn->deferred_count == room) {
        size_t capacity = room ? room * 2 : 64;
        struct transport **deferred = realloc(turn->deferred, capacity * sizeof(struct transport *));
        if (!deferred)
            return false;
        turn->deferred = deferred;
        atomic_store_explicit(&turn->deferred_capacity, capacity, memory_order_relaxed);
    }
    turn->deferred[turn->deferred_count++] = transport;
    transport->is_deferred = true;
    return true;
}

void turn_forget_deferred(struct transport *transport)
{
    if (!transport->is_deferred)
        return;
    transport->is_deferred = false;
    size_t at = 0;
    while (transport->turn->deferred[at] != transport)
        at++;
    transport->turn->deferred[at] = NULL;
}

void turn_run_deferred(struct turn *turn, void (*resume)(struct transport *transport))
{
    size_t count = turn->deferred_count;
    for (size_t i = 0; i < count; i++) {
        struct transport *transport = turn->deferred[i];
        if (!transport)
            continue;
        turn->deferred[i] = NULL;
        transport->is_deferred = false;
        resume(transport); // may defer it again; no transport is closed meanwhile
    }
    turn->deferred_count -= count;
    if (turn->deferred_count > 0)
        memmove(turn->deferred, turn->deferred + count, turn->deferred_count * sizeof(struct transport *));
}

void turn_fail(struct transport *transport)
{
    transport->is_dead = true;
    turn_add_pending(transport);
}
