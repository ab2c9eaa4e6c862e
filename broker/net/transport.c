// SPDX-License-Identifier: Apache-2.0
#include "broker/net/transport.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool watch_first(struct transport *transport)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = transport};
    transport->is_watched = epoll_ctl(transport->turn->epoll_fd, EPOLL_CTL_ADD, transport->fd, &event) == 0;
    return transport->is_watched;
}

int transport_open(struct transport *transport, struct turn *turn, int fd)
{
    transport->source = SOURCE_TRANSPORT;
    transport->fd = fd;
    transport->turn = turn;
    bool has_buffers =
        !turn->rules->is_eager || (transport_prepare_input(transport) && transport_prepare_output(transport));
    if (has_buffers && watch_first(transport))
        return 0;
    transport_free_input(transport);
    transport_free_output(transport);
    return -ENOBUFS;
}

void transport_close(struct transport *transport)
{
    timer_wheel_remove(&transport->timer);
    turn_forget_deferred(transport);
    turn_forget_events(transport);
    transport->turn->work += TURN_CLOSE_WORK;
    close(transport->fd); // this also removes it from the epoll set
    transport_free_input(transport);
    transport_free_output(transport);
}

void transport_set_timer(struct transport *transport, uint32_t deadline_tick)
{
    timer_wheel_remove(&transport->timer);
    timer_wheel_add(&transport->turn->wheel, &transport->timer, deadline_tick);
}

void transport_unpause(struct transport *transport)
{
    if (!transport->is_paused || transport->is_blocked || !transport_can_send(transport))
        return;
    transport->is_paused = false;
    transport_watch(transport);
    (void)transport_resume(transport); // the transport is not touched in either case
}

bool transport_waits(const struct transport *transport, uint32_t epoll_events)
{
    return transport->is_dead || (transport->is_deferred && !(epoll_events & ~(uint32_t)EPOLLIN));
}

// The events of a heavy transport wait behind those of others.
static bool is_put_off(struct transport *transport, uint32_t epoll_events)
{
    return transport_is_heavy(transport) && !transport->is_paused && epoll_events == EPOLLIN &&
           turn_defer(transport);
}

void transport_on_event(struct transport *transport, uint32_t epoll_events)
{
    if (transport->is_dead || is_put_off(transport, epoll_events))
        return;
    if (epoll_events & (EPOLLERR | EPOLLHUP)) {
        transport_break(transport);
        if (!transport->is_deferred)
            transport_drain(transport);
        return;
    }
    if (epoll_events & EPOLLOUT)
        turn_add_pending(transport);
    if (!transport->is_paused && !transport->is_deferred && epoll_events & EPOLLIN)
        transport_read(transport);
}

void transport_on_turn(struct transport *transport)
{
    if (transport->is_dead)
        return;
    if (transport->is_broken) {
        transport_drain(transport);
        return;
    }
    if (!transport_resume(transport) || !transport_can_send(transport))
        return;
    transport->turn->rules->on_resume(transport);
    if (!transport->is_paused && !transport->is_deferred && !turn_is_busy(transport->turn))
        transport_read(transport);
}

void transport_settle(struct transport *transport)
{
    const struct transport_rules *rules = transport->turn->rules;
    if (transport->is_dead) {
        rules->on_close(transport);
    } else if (transport->is_broken) {
        transport->is_paused = false;
        if (!transport->is_deferred)
            transport_drain(transport);
    } else {
        rules->on_settle(transport);
    }
}

static void settle_some(struct turn *turn, struct transport *(*take)(struct turn *turn),
                        const struct pending_list *list)
{
    while (list->first && !turn_part_is_over(turn)) {
        turn_begin_share(turn, list->count);
        transport_settle(take(turn));
    }
}

void transport_settle_pending(struct turn *turn)
{
    turn_begin_part(turn, TURN_WORK);
    settle_some(turn, turn_take_pending, &turn->pending);
    if (turn->late.count > 0) {
        uint32_t left = turn_part_is_over(turn) ? 0 : turn->part_end - turn->work;
        turn_begin_part(turn, TURN_WORK / 2 + left);
        settle_some(turn, turn_take_late, &turn->late);
    }
    turn_make_late(turn);
}

void transport_arrive(struct transport *transport, struct turn *turn)
{
    transport->turn = turn;
    turn->rules->on_moved(transport);
    if (watch_first(transport))
        (void)transport_resume(transport); // as above
    else
        turn_fail(transport);
}
