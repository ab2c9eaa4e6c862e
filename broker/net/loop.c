// SPDX-License-Identifier: Apache-2.0
#include "broker/net/loop.h"

#include "base/clock.h"
#include "broker/net/listener.h"
#include "broker/net/spare_fds.h"
#include "broker/net/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENT_BATCH = LOOP_EVENTS, ACCEPT_BATCH = 64, TICK_MS = 1000 / TIMER_TICKS_PER_S };

struct loop {
    struct turn turn;
    struct spare_fds spare;
    struct loop_options options;
    int64_t start_ns;
    bool is_accepting;
    bool has_rest; // after a last turn: some transport waits for its output
    int listener_count;
    pthread_t thread;
    bool is_started;
    _Atomic bool is_stopping;
    _Atomic int failure; // errno of epoll_wait: the loop has ended by itself
    struct listener listeners[];
};

int loop_open(struct loop **opened, const struct loop_options *options, struct err *err)
{
    struct loop *loop = calloc(1, sizeof *loop + (size_t)options->listeners_max * sizeof loop->listeners[0]);
    const char *failed = "calloc";
    int code = -ENOMEM;
    if (!loop)
        goto fail;
    loop->options = *options;
    loop->is_accepting = true;
    loop->start_ns = clock_now_ns();
    loop->turn.owner = options->owner;
    loop->turn.rules = options->rules;
    loop->turn.bytes_received = options->bytes_received;
    loop->turn.bytes_sent = options->bytes_sent;
    code = turn_open(&loop->turn, &failed);
    if (code < 0)
        goto fail_loop;
    failed = "fcntl";
    code = spare_fds_open(&loop->spare, options->descriptors, loop->turn.mailbox.event_fd);
    if (code < 0)
        goto fail_turn;
    *opened = loop;
    return 0;
fail_turn:
    turn_close(&loop->turn);
fail_loop:
    free(loop);
fail:
    return err_set(err, code, "cannot make event loop %u: %s: %s", options->index, failed, strerror(-code));
}

int loop_listen(struct loop *loop, struct address *address, bool is_shared, struct err *err)
{
    if (loop->listener_count == loop->options.listeners_max)
        return err_set(err, -ENOBUFS, "an event loop listens to at most %d addresses",
                       loop->options.listeners_max);
    struct listener *listener = &loop->listeners[loop->listener_count];
    int code = listener_open(listener, address, is_shared, err);
    if (code < 0)
        return code;
    listener->source = SOURCE_LISTENER;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    if (epoll_ctl(loop->turn.epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) < 0) {
        code = err_set(err, -errno, "cannot watch a listening socket: epoll_ctl: %s", strerror(errno));
        listener_close(listener);
        return code;
    }
    loop->listener_count++;
    return 0;
}

struct turn *loop_turn(struct loop *loop)
{
    return &loop->turn;
}

int loop_failure(const struct loop *loop)
{
    // Relaxed: only the number is shared.
    return atomic_load_explicit(&loop->failure, memory_order_relaxed);
}

size_t loop_bytes(struct loop *loop)
{
    return sizeof *loop + (size_t)loop->options.listeners_max * sizeof loop->listeners[0] +
           turn_bytes(&loop->turn);
}

int loop_stack(const struct loop *loop, uintptr_t *from, uintptr_t *to)
{
    pthread_attr_t attributes;
    void *start;
    size_t bytes;
    int code = loop->is_started ? pthread_getattr_np(loop->thread, &attributes) : ESRCH;
    if (code != 0)
        return -code;
    code = pthread_attr_getstack(&attributes, &start, &bytes);
    pthread_attr_destroy(&attributes);
    if (code != 0)
        return -code;
    *from = (uintptr_t)start;
    *to = *from + bytes;
    return 0;
}

bool loop_has_spare(const struct loop *loop)
{
    return loop->spare.count > 0;
}

int loop_add_watch(struct loop *loop, struct loop_watch *watch)
{
    watch->source = SOURCE_WATCH;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    return epoll_ctl(loop->turn.epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

void loop_close_watch(struct loop *loop, struct loop_watch *watch)
{
    spare_fds_take(&loop->spare, watch->fd);
    watch->fd = -1;
}

// A listener that could not be watched again is tried again at the next tick.
static void set_accepting(struct loop *loop, bool is_accepting)
{
    loop->is_accepting = is_accepting;
    for (int i = 0; i < loop->listener_count; i++) {
        struct epoll_event event = {.events = is_accepting ? EPOLLIN : 0, .data.ptr = &loop->listeners[i]};
        if (epoll_ctl(loop->turn.epoll_fd, EPOLL_CTL_MOD, loop->listeners[i].fd, &event) < 0)
            loop->is_accepting = false;
    }
}

// No descriptor is left. A spare one lets one client in, which is then refused. Without a spare one,
// accepting pauses until the next tick.
static void accept_last(struct loop *loop, const struct listener *listener)
{
    int fd = spare_fds_accept_last(&loop->spare, listener->fd);
    if (fd >= 0)
        loop->options.callbacks->on_client(loop->options.owner, fd, true);
    else if (fd != -EAGAIN)
        set_accepting(loop, false);
}

static void accept_batch(struct loop *loop, const struct listener *listener)
{
    const struct loop_callbacks *callbacks = loop->options.callbacks;
    int failed = 0;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = spare_fds_accept(&loop->spare, listener->fd);
        if (fd >= 0) {
            callbacks->on_client(loop->options.owner, fd, false);
            continue;
        }
        switch (-fd) {
        case EAGAIN:
            return;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            accept_last(loop, listener);
            return;
        case ECONNABORTED: // this client has gone
        case EINTR:
            break;
        default: // a pending network error of the socket, or accept is forbidden
            callbacks->on_accept_failed(loop->options.owner);
            failed++;
            break;
        }
    }
    if (failed == ACCEPT_BATCH) // every call failed; retrying at once would be a busy loop
        set_accepting(loop, false);
}

// Settles or closes the pending transports. Transports that become pending meanwhile join the same list, so
// this call serves them too.
static void settle_pending(struct loop *loop)
{
    struct transport *transport;
    while ((transport = turn_take_pending(&loop->turn)))
        transport_settle(transport);
}

static void read_mail(struct loop *loop)
{
    struct mail *mail;
    size_t count = mailbox_take(&loop->turn.mailbox, &mail);
    for (size_t i = 0; i < count; i++) {
        if (mail[i].kind == MAIL_TRANSPORT)
            transport_arrive(mail[i].object, &loop->turn);
        else
            loop->options.callbacks->on_mail(loop->options.owner, &mail[i]);
    }
}

static void on_event(struct loop *loop, const struct epoll_event *event)
{
    switch ((enum event_source) * (uint8_t *)event->data.ptr) {
    case SOURCE_TRANSPORT:
        transport_on_event(event->data.ptr, event->events);
        break;
    case SOURCE_LISTENER:
        accept_batch(loop, event->data.ptr);
        break;
    case SOURCE_WATCH:
        loop->options.callbacks->on_watch(loop->options.owner, event->data.ptr);
        break;
    case SOURCE_MAILBOX:
        read_mail(loop);
        break;
    }
}

static struct transport *transport_of_timer(struct timer_node *node)
{
    return (struct transport *)((char *)node - offsetof(struct transport, timer));
}

static void on_expired(struct timer_node *node, void *context)
{
    const struct loop *loop = context;
    loop->turn.rules->on_timer(transport_of_timer(node));
}

static uint32_t tick_now(const struct loop *loop)
{
    int64_t passed_ns = clock_coarse_ns() - loop->start_ns; // the coarse clock may be behind the start
    return passed_ns > 0 ? (uint32_t)(passed_ns / TIMER_TICK_NS) : 0;
}

static void run_deadlines(struct loop *loop)
{
    if (loop->turn.tick == loop->turn.wheel.tick)
        return;
    read_mail(loop); // whose notification may have failed
    timer_wheel_advance(&loop->turn.wheel, loop->turn.tick, on_expired, loop);
    spare_fds_fill(&loop->spare);
    loop->options.callbacks->on_tick(loop->options.owner);
    if (!loop->is_accepting)
        set_accepting(loop, true);
}

static void *run(void *context)
{
    struct loop *loop = context;
    struct turn *turn = &loop->turn;
    struct epoll_event events[EVENT_BATCH];
    // Acquire pairs with the release in loop_stop; only the flag is shared.
    while (!atomic_load_explicit(&loop->is_stopping, memory_order_acquire)) {
        int count = epoll_wait(turn->epoll_fd, events, EVENT_BATCH, turn->deferred_count > 0 ? 0 : TICK_MS);
        if (count < 0 && errno != EINTR) {
            // Relaxed: only the number is shared.
            atomic_store_explicit(&loop->failure, errno, memory_order_relaxed);
            break;
        }
        turn->tick = tick_now(loop);
        turn->work = 0;
        turn->is_single = count == 1 && turn->deferred_count == 0;
        turn->is_last = false;
        turn_run_deferred(turn, transport_on_turn);
        for (int i = 0; i < count; i++)
            on_event(loop, &events[i]);
        turn->is_last = false;
        run_deadlines(loop); // after the events: received packets count, even when this loop is late
        settle_pending(loop);
        if (loop->options.callbacks->on_turn_end)
            loop->options.callbacks->on_turn_end(loop->options.owner);
    }
    return NULL;
}

int loop_start(struct loop *loop, struct err *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LOOP_STACK_BYTES);
    int code = pthread_create(&loop->thread, &attributes, run, loop);
    pthread_attr_destroy(&attributes);
    if (code != 0)
        return err_set(err, -code, "cannot start the thread of event loop %u: pthread_create: %s",
                       loop->options.index, strerror(code));
    loop->is_started = true;
    return 0;
}

void loop_stop(struct loop *loop)
{
    if (!loop->is_started)
        return;
    atomic_store_explicit(&loop->is_stopping, true, memory_order_release);
    mailbox_notify(&loop->turn.mailbox);
    pthread_join(loop->thread, NULL);
    loop->is_started = false;
}

static void read_rest(struct timer_node *node, void *context)
{
    struct loop *loop = context;
    if (transport_read_rest(transport_of_timer(node)))
        loop->has_rest = true;
}

void loop_last_turn(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    turn->work = 0;
    turn->is_single = false;
    loop->has_rest = false;
    turn_run_deferred(turn, transport_on_turn);
    read_mail(loop);
    timer_wheel_visit(&turn->wheel, read_rest, loop);
    settle_pending(loop);
    if (loop->options.callbacks->on_turn_end)
        loop->options.callbacks->on_turn_end(loop->options.owner);
}

bool loop_is_done(const struct loop *loop)
{
    // Without the lock of the mailbox: no loop runs any more.
    return !loop->has_rest && loop->turn.deferred_count == 0 && loop->turn.mailbox.count == 0;
}

void loop_drop_all(struct loop *loop)
{
    const struct transport_rules *rules = loop->turn.rules;
    struct mail *mail;
    size_t count = mailbox_take(&loop->turn.mailbox, &mail);
    for (size_t i = 0; i < count; i++) {
        if (mail[i].kind == MAIL_TRANSPORT)
            rules->on_close(mail[i].object);
        else
            loop->options.callbacks->on_mail_dropped(loop->options.owner, &mail[i]);
    }
    struct timer_node *node;
    while ((node = timer_wheel_any(&loop->turn.wheel)))
        rules->on_close(transport_of_timer(node));
}

void loop_close(struct loop *loop)
{
    if (!loop)
        return;
    for (int i = 0; i < loop->listener_count; i++)
        listener_close(&loop->listeners[i]);
    spare_fds_close(&loop->spare);
    turn_close(&loop->turn);
    free(loop);
}

bool loop_is_valid(const struct loop *loop)
{
    return timer_wheel_is_valid(&loop->turn.wheel);
}
