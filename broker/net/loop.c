// SPDX-License-Identifier: Apache-2.0
#include "broker/net/loop.h"

#include "base/clock.h"
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENT_BATCH = LOOP_EVENTS, TICK_MS = 1000 / TIMER_TICKS_PER_S, STACK_BYTES = 256 << 10 };

int loop_open(struct loop **opened, struct broker *broker, uint16_t index, struct err *err)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int code = -ENOMEM;
    if (!loop)
        goto fail;
    loop->broker = broker;
    loop->index = index;
    loop->is_accepting = true;
    loop->start_ns = clock_now_ns();
    timer_wheel_init(&loop->wheel, 0);
    loop->scratch = malloc(LOOP_SCRATCH_BYTES);
    if (!loop->scratch)
        goto fail_loop;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    code = -errno;
    if (loop->epoll_fd < 0)
        goto fail_scratch;
    code = mailbox_open(&loop->mailbox);
    if (code < 0)
        goto fail_epoll;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->mailbox};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->mailbox.event_fd, &event) < 0) {
        code = -errno;
        goto fail_mailbox;
    }
    code = refusals_open(&loop->refusals, loop->mailbox.event_fd);
    if (code < 0)
        goto fail_mailbox;
    *opened = loop;
    return 0;
fail_mailbox:
    mailbox_close(&loop->mailbox);
fail_epoll:
    close(loop->epoll_fd);
fail_scratch:
    free(loop->scratch);
fail_loop:
    free(loop);
fail:
    return err_set(err, code, "cannot make event loop %u: %s", index, strerror(-code));
}

int loop_listen(struct loop *loop, struct address *address, bool is_shared, struct err *err)
{
    struct listener *listener = &loop->listeners[loop->listener_count];
    int code = listener_open(listener, address, is_shared, err);
    if (code < 0)
        return code;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) < 0) {
        code = err_set(err, -errno, "cannot watch a listening socket: %s", strerror(errno));
        listener_close(listener);
        return code;
    }
    loop->listener_count++;
    return 0;
}

static void set_accepting(struct loop *loop, bool is_accepting)
{
    loop->is_accepting = is_accepting;
    for (int i = 0; i < loop->listener_count; i++) {
        struct epoll_event event = {.events = is_accepting ? EPOLLIN : 0, .data.ptr = &loop->listeners[i]};
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, loop->listeners[i].fd, &event);
    }
}

void loop_count_dropped(struct loop *loop, int code)
{
    broker_count(&loop->counters.messages_dropped, 1);
    if (code == -EDQUOT)
        broker_count(&loop->counters.dropped_queue_full, 1);
    else if (code == -EACCES)
        broker_count(&loop->counters.dropped_sys, 1);
    else
        broker_count(&loop->counters.dropped_no_memory, 1);
}

void loop_pause_accepting(struct loop *loop)
{
    set_accepting(loop, false);
}

void loop_add_pending(struct loop *loop, struct connection *connection)
{
    if (connection->is_pending)
        return;
    connection->is_pending = true;
    connection->next_pending = NULL;
    if (loop->pending_last)
        loop->pending_last->next_pending = connection;
    else
        loop->pending_first = connection;
    loop->pending_last = connection;
    loop->pending_count++;
}

bool loop_defer(struct loop *loop, struct connection *connection)
{
    if (connection->is_deferred)
        return true;
    if (loop->deferred_count == loop->deferred_capacity) {
        size_t capacity = loop->deferred_capacity ? loop->deferred_capacity * 2 : 64;
        struct connection **deferred = realloc(loop->deferred, capacity * sizeof *deferred);
        if (!deferred)
            return false;
        loop->deferred = deferred;
        loop->deferred_capacity = capacity;
    }
    loop->deferred[loop->deferred_count++] = connection;
    connection->is_deferred = true;
    return true;
}

void loop_forget_deferred(struct loop *loop, struct connection *connection)
{
    if (!connection->is_deferred)
        return;
    connection->is_deferred = false;
    size_t at = 0;
    while (loop->deferred[at] != connection)
        at++;
    loop->deferred[at] = NULL;
}

// Those of the turn before, in their order; who is not done is deferred again. None is closed meanwhile.
static void run_deferred(struct loop *loop)
{
    size_t count = loop->deferred_count;
    for (size_t i = 0; i < count; i++) {
        struct connection *connection = loop->deferred[i];
        if (!connection)
            continue;
        loop->deferred[i] = NULL;
        connection->is_deferred = false;
        connection_on_turn(connection);
    }
    loop->deferred_count -= count;
    if (loop->deferred_count > 0)
        memmove(loop->deferred, loop->deferred + count, loop->deferred_count * sizeof *loop->deferred);
}

static void remove_pending(struct loop *loop, struct connection *connection)
{
    struct connection **link = &loop->pending_first, *before = NULL;
    for (; *link != connection; link = &(*link)->next_pending)
        before = *link;
    *link = connection->next_pending;
    if (loop->pending_last == connection)
        loop->pending_last = before;
    loop->pending_count--;
    connection->is_pending = false;
}

bool loop_hand_over(struct loop *loop, struct connection *connection, uint16_t to_index)
{
    struct letter letter = {.kind = LETTER_ADOPT, .connection = connection};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->is_watched = false;
    timer_wheel_remove(&connection->timer);
    if (connection->is_pending)
        remove_pending(loop, connection);
    if (mailbox_post(&loop->broker->loops[to_index]->mailbox, &letter) < 0) {
        connection_fail(connection);
        return false;
    }
    broker_count(&loop->counters.handed_over, 1);
    return true;
}

// Sends and closes what this turn left. What that brings up (a will, a paused connection that goes on) is
// done in the same call, since it joins the same list.
static void settle_pending(struct loop *loop)
{
    struct connection *connection;
    while ((connection = loop->pending_first)) {
        loop->pending_first = connection->next_pending;
        if (!loop->pending_first)
            loop->pending_last = NULL;
        loop->pending_count--;
        connection->is_pending = false;
        if (connection->state == CONNECTION_DEAD)
            connection_close(connection);
        else
            delivery_settle(connection);
    }
}

static void read_mail(struct loop *loop)
{
    struct letter *letters;
    size_t count = mailbox_take(&loop->mailbox, &letters);
    for (size_t i = 0; i < count; i++) {
        struct letter *letter = &letters[i];
        if (letter->kind == LETTER_ADOPT) {
            connection_adopt(loop, letter->connection);
        } else {
            delivery_to_session(loop, letter->session, letter->message, letter->qos, false);
            message_unref(letter->message);
            session_unref(letter->session, &loop->broker->stores.arenas);
        }
    }
}

static void on_event(struct loop *loop, const struct epoll_event *event)
{
    switch ((enum loop_source) * (uint8_t *)event->data.ptr) {
    case SOURCE_CONNECTION:
        connection_on_event(event->data.ptr, event->events);
        break;
    case SOURCE_LISTENER:
        listener_on_event(loop, event->data.ptr);
        break;
    case SOURCE_REFUSAL:
        refusals_on_event(loop, event->data.ptr);
        break;
    case SOURCE_MAILBOX:
        read_mail(loop);
        break;
    }
}

static void on_expired(struct timer_node *node, void *context)
{
    (void)context;
    connection_on_timer((struct connection *)((char *)node - offsetof(struct connection, timer)));
}

static uint32_t tick_now(const struct loop *loop)
{
    int64_t passed_ns = clock_coarse_ns() - loop->start_ns; // the coarse clock may be behind the start
    return passed_ns > 0 ? (uint32_t)(passed_ns / TIMER_TICK_NS) : 0;
}

static void run_deadlines(struct loop *loop)
{
    if (loop->tick == loop->wheel.tick)
        return;
    timer_wheel_advance(&loop->wheel, loop->tick, on_expired, loop);
    refusals_on_tick(loop);
    if (!loop->is_accepting)
        set_accepting(loop, true);
}

static void *run(void *context)
{
    struct loop *loop = context;
    struct epoll_event events[EVENT_BATCH];
    // Acquire pairs with loop_stop's release; nothing but the flag is handed over.
    while (!atomic_load_explicit(&loop->is_stopping, memory_order_acquire)) {
        int count = epoll_wait(loop->epoll_fd, events, EVENT_BATCH, loop->deferred_count > 0 ? 0 : TICK_MS);
        if (count < 0 && errno != EINTR) {
            // Relaxed: the number is all that is handed over.
            atomic_store_explicit(&loop->failure, errno, memory_order_relaxed);
            break;
        }
        loop->tick = tick_now(loop);
        loop->work = 0;
        run_deferred(loop);
        for (int i = 0; i < count; i++)
            on_event(loop, &events[i]);
        run_deadlines(loop); // after the events: what has come counts, however late we are
        settle_pending(loop);
    }
    return NULL;
}

int loop_start(struct loop *loop, struct err *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int code = pthread_create(&loop->thread, &attributes, run, loop);
    pthread_attr_destroy(&attributes);
    if (code != 0)
        return err_set(err, -code, "cannot start the thread of event loop %u: %s", loop->index,
                       strerror(code));
    loop->is_started = true;
    return 0;
}

void loop_stop(struct loop *loop)
{
    if (!loop->is_started)
        return;
    atomic_store_explicit(&loop->is_stopping, true, memory_order_release);
    mailbox_wake(&loop->mailbox);
    pthread_join(loop->thread, NULL);
    loop->is_started = false;
}

void loop_close_connections(struct loop *loop)
{
    struct letter *letters;
    size_t count = mailbox_take(&loop->mailbox, &letters);
    for (size_t i = 0; i < count; i++) {
        if (letters[i].kind == LETTER_ADOPT) {
            connection_close(letters[i].connection);
        } else {
            message_unref(letters[i].message);
            session_unref(letters[i].session, &loop->broker->stores.arenas);
        }
    }
    struct timer_node *node;
    while ((node = timer_wheel_any(&loop->wheel)))
        connection_close((struct connection *)((char *)node - offsetof(struct connection, timer)));
}

void loop_close(struct loop *loop)
{
    if (!loop)
        return;
    for (int i = 0; i < loop->listener_count; i++)
        listener_close(&loop->listeners[i]);
    refusals_close(&loop->refusals);
    mailbox_close(&loop->mailbox);
    close(loop->epoll_fd);
    free(loop->scratch);
    free(loop->deferred);
    free(loop);
}
