// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/connection.h"

#include "broker/broker.h"
#include "broker/mqtt/check.h"
#include "broker/mqtt/delivery.h"
#include "broker/net/loop.h"
#include "broker/mqtt/session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

// "A reasonable amount of time" for the CONNECT (section 3.1.4): long, since a million clients may be at it
// at once.
enum { CONNECT_PATIENCE_S = 30 };

static bool prepare_eager(struct connection *connection)
{
    struct broker *broker = connection->loop->broker;
    if (!input_prepare(connection) || !output_prepare(connection))
        return false;
    connection->arena = block_get(&broker->stores.arenas, broker->stores.arenas.object_bytes);
    return connection->arena != NULL;
}

static bool watch_first(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    connection->is_watched =
        epoll_ctl(connection->loop->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) == 0;
    return connection->is_watched;
}

static void start_connect_timer(struct connection *connection)
{
    struct loop *loop = connection->loop;
    connection->timer.owner_word = loop->tick;
    timer_wheel_add(&loop->wheel, &connection->timer, loop->tick + CONNECT_PATIENCE_S * TIMER_TICKS_PER_S);
}

static void give_back(struct connection *connection)
{
    struct broker *broker = connection->loop->broker;
    input_free(connection);
    output_free(connection);
    block_put(&broker->stores.arenas, connection->arena, broker->stores.arenas.object_bytes);
    block_put(&broker->stores.connections, connection, broker->stores.connections.object_bytes);
}

int connection_open(struct loop *loop, int fd)
{
    struct broker *broker = loop->broker;
    int64_t refused_before = account_refused(&broker->account);
    struct connection *connection =
        block_get(&broker->stores.connections, broker->stores.connections.object_bytes);
    if (!connection)
        goto fail;
    memset(connection, 0, sizeof *connection);
    connection->source = SOURCE_CONNECTION;
    connection->state = CONNECTION_NEW;
    connection->fd = fd;
    connection->loop = loop;
    if ((broker->shape.eager && !prepare_eager(connection)) || !watch_first(connection)) {
        give_back(connection);
        goto fail;
    }
    start_connect_timer(connection);
    return 0;
fail: // which of several refused is told by what the account counted meanwhile: near enough for statistics
    return account_refused(&broker->account) > refused_before ? -ENOMEM : -ENOBUFS;
}

void connection_adopt(struct loop *loop, struct connection *connection)
{
    connection->loop = loop;
    start_connect_timer(connection);
    if (watch_first(connection))
        input_resume(connection);
    else
        connection_fail(connection);
}

void connection_fail(struct connection *connection)
{
    connection->state = CONNECTION_DEAD;
    loop_add_pending(connection->loop, connection);
}

void connection_break(struct connection *connection)
{
    if (!connection_can_send(connection))
        return;
    connection->is_broken = true;
    output_drop(connection);
    connection->is_blocked = false;
    loop_add_pending(connection->loop, connection);
}

void connection_fail_protocol(struct connection *connection, const char *reason)
{
    // Relaxed: the text never changes.
    atomic_store_explicit(&connection->loop->broker->last_reason, reason, memory_order_relaxed);
    broker_count(&connection->loop->counters.protocol_errors, 1);
    output_flush(connection); // what was answered before that packet
    connection_fail(connection);
}

// Section 3.1.2.5: published when the connection ends without a DISCONNECT; not when the broker itself is
// ended.
static void publish_will(struct connection *connection)
{
    struct message *will = connection->will;
    connection->will = NULL;
    if (!will)
        return;
    struct loop *loop = connection->loop;
    if (!loop->broker->is_closing) {
        if (delivery_route(loop, will) < 0)
            loop_count_dropped(loop, -ENOMEM);
        broker_count(&loop->counters.wills_published, 1);
    }
    message_unref(will);
}

void connection_detach(struct connection *connection)
{
    if (connection->has_session) {
        struct session *session = connection->session;
        connection->has_session = false;
        connection->arena = NULL;
        session->connection = NULL;
        if (session->is_clean) {
            broker_end_session(connection->loop->broker, session); // [MQTT-3.1.2-6]
        } else if (session->flow) {
            CHECK(flow_is_valid(session->flow));
            flow_inflight_restart(session->flow);
            session_flow_done(session);
        }
    }
    publish_will(connection);
}

void connection_close(struct connection *connection)
{
    struct loop *loop = connection->loop;
    connection->state = CONNECTION_DEAD;
    connection_detach(connection);
    timer_wheel_remove(&connection->timer);
    loop_forget_deferred(loop, connection);
    close(connection->fd); // leaves the epoll set by that
    give_back(connection);
    broker_release_connection(loop->broker);
    broker_count(&loop->counters.closed, 1);
}

void connection_watch(struct connection *connection)
{
    uint32_t events = (connection->is_paused ? 0 : EPOLLIN) | (connection->is_blocked ? EPOLLOUT : 0);
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (connection->is_watched &&
        epoll_ctl(connection->loop->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) < 0)
        connection_break(connection);
}

void connection_on_turn(struct connection *connection)
{
    if (connection->state == CONNECTION_DEAD)
        return;
    if (connection->is_broken)
        input_drain(connection);
    else
        input_resume(connection);
    if (connection->state == CONNECTION_OPEN && !connection->is_broken) // for what its session owes
        loop_add_pending(connection->loop, connection);
}

void connection_on_event(struct connection *connection, uint32_t epoll_events)
{
    if (connection->state == CONNECTION_DEAD)
        return;
    if (epoll_events & (EPOLLERR | EPOLLHUP)) {
        connection_break(connection);
        if (!connection->is_deferred)
            input_drain(connection);
        return;
    }
    if (epoll_events & EPOLLOUT)
        loop_add_pending(connection->loop, connection);
    if (!connection->is_paused && !connection->is_deferred && epoll_events & EPOLLIN)
        input_read(connection);
}

static uint32_t silence_limit_ticks(const struct connection *connection)
{
    // [MQTT-3.1.2-24]: one and a half times; one tick more, since ticks are counted, not measured.
    return (uint32_t)connection->keep_alive_s * 3 * TIMER_TICKS_PER_S / 2 + 1;
}

void connection_start_keep_alive(struct connection *connection, uint16_t keep_alive_s)
{
    struct loop *loop = connection->loop;
    connection->keep_alive_s = keep_alive_s;
    timer_wheel_remove(&connection->timer);
    timer_wheel_add(&loop->wheel, &connection->timer,
                    keep_alive_s ? loop->tick + silence_limit_ticks(connection) : TIMER_NEVER);
}

// Has it sent what we have not read yet? After a long pause of ours its silence is not its own.
static bool has_waiting_input(const struct connection *connection)
{
    uint8_t byte;
    if (connection->is_deferred)
        return true;
    return !connection->is_paused && recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// The timer is not moved whenever something comes: it looks when it is due, and waits on for what is left.
void connection_on_timer(struct connection *connection)
{
    struct loop *loop = connection->loop;
    bool is_open = connection->state == CONNECTION_OPEN;
    uint32_t deadline = is_open ? connection->timer.owner_word + silence_limit_ticks(connection) : 0;
    if (deadline <= loop->tick && connection->state != CONNECTION_DEAD && has_waiting_input(connection))
        deadline = loop->tick + TIMER_TICKS_PER_S;
    if (deadline > loop->tick) {
        timer_wheel_add(&loop->wheel, &connection->timer, deadline);
        return;
    }
    if (is_open)
        broker_count(&loop->counters.keep_alive_expired, 1);
    connection_fail(connection);
}
