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

static void append(struct pending_list *list, struct transport *transport)
{
    transport->next_pending = NULL;
    if (list->last)
        list->last->next_pending = transport;
    else
        list->first = transport;
    list->last = transport;
    list->count++;
}

static struct transport *take_first(struct pending_list *list)
{
    struct transport *transport = list->first;
    if (!transport)
        return NULL;
    list->first = transport->next_pending;
    if (!list->first)
        list->last = NULL;
    list->count--;
    transport->is_pending = false;
    return transport;
}

static bool take_out(struct pending_list *list, const struct transport *transport)
{
    struct transport **link = &list->first, *before = NULL;
    for (; *link && *link != transport; link = &(*link)->next_pending)
        before = *link;
    if (!*link)
        return false;
    *link = transport->next_pending;
    if (list->last == transport)
        list->last = before;
    list->count--;
    return true;
}

void turn_add_pending(struct transport *transport)
{
    if (transport->is_pending)
        return;
    transport->is_pending = true;
    append(&transport->turn->pending, transport);
}

void turn_remove_pending(struct transport *transport)
{
    struct turn *turn = transport->turn;
    if (!transport->is_pending)
        return;
    if (!take_out(&turn->pending, transport))
        take_out(&turn->late, transport);
    transport->is_pending = false;
}

struct transport *turn_take_pending(struct turn *turn)
{
    return take_first(&turn->pending);
}

struct transport *turn_take_late(struct turn *turn)
{
    return take_first(&turn->late);
}

void turn_make_late(struct turn *turn)
{
    struct pending_list *pending = &turn->pending, *late = &turn->late;
    if (!pending->first)
        return;
    if (late->last)
        late->last->next_pending = pending->first;
    else
        late->first = pending->first;
    late->last = pending->last;
    late->count += pending->count;
    *pending = (struct pending_list){0};
}

// Room at the end of the list, by leaving out those at its start that were served.
static bool make_room(struct turn *turn)
{
    size_t room = atomic_load_explicit(&turn->deferred_capacity, memory_order_relaxed);
    if (turn->deferred_count < room)
        return true;
    if (turn->deferred_first > room / 2) {
        turn->deferred_count -= turn->deferred_first;
        memmove(turn->deferred, turn->deferred + turn->deferred_first,
                turn->deferred_count * sizeof(struct transport *));
        turn->deferred_first = 0;
        return true;
    }
    size_t capacity = room ? room * 2 : 64;
    struct transport **deferred = realloc(turn->deferred, capacity * sizeof(struct transport *));
    if (!deferred)
        return false;
    turn->deferred = deferred;
    atomic_store_explicit(&turn->deferred_capacity, capacity, memory_order_relaxed);
    return true;
}

bool turn_defer(struct transport *transport)
{
    struct turn *turn = transport->turn;
    if (transport->is_deferred)
        return true;
    if (!make_room(turn))
        return false;
    turn->deferred[turn->deferred_count++] = transport;
    transport->is_deferred = true;
    return true;
}

void turn_forget_deferred(struct transport *transport)
{
    if (!transport->is_deferred)
        return;
    transport->is_deferred = false;
    size_t at = transport->turn->deferred_first;
    while (transport->turn->deferred[at] != transport)
        at++;
    transport->turn->deferred[at] = NULL;
}

size_t turn_deferred(const struct turn *turn)
{
    return turn->deferred_count - turn->deferred_first;
}

void turn_run_deferred(struct turn *turn, void (*resume)(struct transport *transport))
{
    bool is_first = true;
    for (size_t left = turn_deferred(turn); left > 0 && (is_first || !turn_part_is_over(turn)); left--) {
        struct transport *transport = turn->deferred[turn->deferred_first++];
        if (!transport)
            continue;
        is_first = false;
        transport->is_deferred = false;
        turn_begin_share(turn, left);
        resume(transport); // may defer it again; no transport is closed meanwhile
    }
    if (turn->deferred_first == turn->deferred_count)
        turn->deferred_first = turn->deferred_count = 0;
}

void turn_forget_events(struct transport *transport)
{
    struct turn *turn = transport->turn;
    for (int i = turn->event_at; i < turn->event_count; i++)
        if (turn->events[i].data.ptr == transport)
            turn->events[i].data.ptr = NULL;
}

void turn_weigh(struct transport *transport, uint32_t work)
{
    if (work >= TURN_HEAVY)
        transport->source |= TRANSPORT_HEAVY;
    else if (work < TURN_LIGHT && !transport->is_deferred)
        transport->source &= (uint8_t)~TRANSPORT_HEAVY;
}

void turn_fail(struct transport *transport)
{
    transport->is_dead = true;
    turn_add_pending(transport);
}
