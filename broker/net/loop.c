// SPDX-License-Identifier: Apache-2.0
#include "broker/net/loop.h"

#include "base/clock.h"
#include "broker/net/counter.h"
#include "broker/net/listener.h"
#include "broker/net/spare_fds.h"
#include "broker/net/transport.h"
#include "broker/net/turn_times.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ACCEPT_BATCH = 64, TICK_MS = 1000 / TIMER_TICKS_PER_S };

// So many turns in a row may leave out bulk mail and deferred transports.
enum { LEFT_OUT_MOST = 16 };

enum { LAST_WORK = 1 << 20 }; // of the parts of a last turn: nobody waits for others any more

struct loop {
    struct turn turn;
    bool has_rest; // on_rest has more to do
    int left_out;  // turns in a row
    struct turn_times times;
    struct spare_fds spare;
    struct loop_options options;
    int64_t start_ns;
    bool is_accepting;
    bool is_held_up; // after a last turn: some transport waits for its output
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

int64_t loop_longest_turn_ns(const struct loop *loop)
{
    return turn_times_longest_ns(&loop->times);
}

int64_t loop_most_work(const struct loop *loop)
{
    return turn_times_most_work(&loop->times);
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
            loop->turn.work += TURN_OPEN_WORK;
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

static void on_mail(struct loop *loop, const struct mail *mail)
{
    struct turn *turn = &loop->turn;
    turn_begin_share(turn, 1);
    if (mail->kind == MAIL_TRANSPORT)
        transport_arrive(mail->object, turn);
    else
        loop->options.callbacks->on_mail(loop->options.owner, mail);
    turn->work++;
}

// Reads mail while the part lasts: the few, or the bulk.
static void read_mail(struct loop *loop, const struct mail *(*next)(struct mailbox *mailbox))
{
    struct turn *turn = &loop->turn;
    const struct mail *mail;
    turn_begin_part(turn, TURN_WORK);
    while (!turn_part_is_over(turn) && (mail = next(&turn->mailbox)))
        on_mail(loop, mail);
}

// false: there is nothing to do for it now.
static bool on_event(struct loop *loop, const struct epoll_event *event)
{
    if (!event->data.ptr)
        return false; // its transport is no longer here
    switch ((enum event_source)(*(uint8_t *)event->data.ptr & SOURCE_MASK)) {
    case SOURCE_TRANSPORT:
        if (transport_waits(event->data.ptr, event->events))
            return false;
        turn_begin_share(&loop->turn, (size_t)(loop->turn.event_count - loop->turn.event_at + 1));
        transport_on_event(event->data.ptr, event->events);
        break;
    case SOURCE_LISTENER:
        accept_batch(loop, event->data.ptr);
        break;
    case SOURCE_WATCH:
        loop->options.callbacks->on_watch(loop->options.owner, event->data.ptr);
        break;
    case SOURCE_MAILBOX: // noted when the event came
        break;
    }
    return true;
}

// false: the loop has failed.
static bool look(struct loop *loop, int wait_ms)
{
    struct turn *turn = &loop->turn;
    int count = epoll_wait(turn->epoll_fd, turn->events, TURN_EVENTS, wait_ms);
    turn->event_at = 0;
    turn->event_count = count > 0 ? count : 0;
    for (int i = 0; i < turn->event_count; i++)
        if (turn->events[i].data.ptr == &turn->mailbox)
            mailbox_heed(&turn->mailbox);
    if (count >= 0 || errno == EINTR)
        return true;
    // Relaxed: only the number is shared.
    atomic_store_explicit(&loop->failure, errno, memory_order_relaxed);
    return false;
}

// Serves events while the part lasts. The epoll set lists transports that are deferred again and again; it gives others
// after them, so it is asked again.
static bool serve_events(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    int served = 0;
    size_t looks = turn_deferred(turn) / TURN_EVENTS;
    turn_begin_part(turn, TURN_WORK);
    for (;; looks--) {
        while (turn->event_at < turn->event_count && !turn_part_is_over(turn) &&
               turn->pending.count < TURN_PENDING)
            served += on_event(loop, &turn->events[turn->event_at++]);
        if (served > 0 || turn->event_at < turn->event_count || turn->event_count < TURN_EVENTS || looks == 0)
            return true;
        if (!look(loop, 0))
            return false;
    }
}

static struct transport *transport_of_timer(struct timer_node *node)
{
    return (struct transport *)((char *)node - offsetof(struct transport, timer));
}

static uint32_t tick_at(const struct loop *loop, int64_t coarse_ns)
{
    int64_t passed_ns = coarse_ns - loop->start_ns; // the coarse clock may be behind the start
    return passed_ns > 0 ? (uint32_t)(passed_ns / TIMER_TICK_NS) : 0;
}

static void run_deadlines(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    bool is_tick = turn->tick != turn->wheel.tick;
    struct timer_node *node;
    if (!is_tick && !turn->wheel.due)
        return;
    timer_wheel_turn(&turn->wheel, turn->tick);
    turn_begin_part(turn, TURN_WORK / 4);
    while (!turn_part_is_over(turn) && (node = timer_wheel_take_due(&turn->wheel))) {
        turn->work += TURN_TIMER_WORK;
        turn->rules->on_timer(transport_of_timer(node));
    }
    if (!is_tick)
        return;
    mailbox_heed(&turn->mailbox); // its notification may have failed
    spare_fds_fill(&loop->spare);
    turn_begin_part(turn, TURN_WORK / 4);
    loop->options.callbacks->on_tick(loop->options.owner);
    if (!loop->is_accepting)
        set_accepting(loop, true);
}

// Is there work without an event?
static bool has_work(const struct loop *loop)
{
    const struct turn *turn = &loop->turn;
    return turn_deferred(turn) > 0 || turn->late.count > 0 || turn->wheel.due || loop->has_rest ||
           mailbox_has_mail(&turn->mailbox);
}

static void begin_turn(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    int64_t now_ns = clock_coarse_ns();
    turn_times_begin(&loop->times, now_ns);
    turn->tick = tick_at(loop, now_ns);
    turn->work = 0;
    turn->is_last = false;
    turn->is_single = turn->event_count == 1 && turn->event_at == 0 && !has_work(loop);
}

// Do bulk mail and deferred transports wait, because output of earlier turns is to be sent first?
static bool leaves_out(struct loop *loop)
{
    bool waits = loop->turn.late.count > 0 && loop->left_out < LEFT_OUT_MOST;
    loop->left_out = waits ? loop->left_out + 1 : 0;
    return waits;
}

// Those who have used much before: deferred transports, and the bulk of the mail. The more they do at a time, the more
// shares a write.
static void serve_others(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    turn->is_bulk = true;
    turn_begin_part(turn, 2 * TURN_WORK);
    turn_run_deferred(turn, transport_on_turn);
    read_mail(loop, mailbox_next_bulk);
    turn->is_bulk = false;
}

static void do_rest(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    const struct loop_callbacks *callbacks = loop->options.callbacks;
    turn->is_bulk = true;
    turn_begin_part(turn, TURN_WORK / 4);
    loop->has_rest = callbacks->on_rest && callbacks->on_rest(loop->options.owner);
    turn->is_bulk = false;
}

static void *run(void *context)
{
    struct loop *loop = context;
    struct turn *turn = &loop->turn;
    const struct loop_callbacks *callbacks = loop->options.callbacks;
    // Acquire pairs with the release in loop_stop; only the flag is shared.
    while (!atomic_load_explicit(&loop->is_stopping, memory_order_acquire)) {
        if (turn->event_at == turn->event_count && !look(loop, has_work(loop) ? 0 : TICK_MS))
            break;
        begin_turn(loop);
        bool has_others = !leaves_out(loop);
        // Before the events: what was posted before a client sent something is served before it.
        read_mail(loop, mailbox_next);
        if (!serve_events(loop))
            break;
        turn->is_last = false;
        if (has_others)
            serve_others(loop);
        run_deadlines(loop); // after the events: received packets count, even when this loop is late
        do_rest(loop);
        transport_settle_pending(turn);
        if (callbacks->on_turn_end)
            callbacks->on_turn_end(loop->options.owner);
        if (turn_times_end(&loop->times, turn->work))
            counter_add(loop->options.long_turns, 1);
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
    turn_begin_share(&loop->turn, 1);
    if (transport_read_rest(transport_of_timer(node)))
        loop->is_held_up = true;
}

void loop_last_turn(struct loop *loop)
{
    struct turn *turn = &loop->turn;
    const struct loop_callbacks *callbacks = loop->options.callbacks;
    turn->work = 0;
    turn->is_single = false;
    loop->is_held_up = false;
    mailbox_heed(&turn->mailbox);
    read_mail(loop, mailbox_next);
    read_mail(loop, mailbox_next_bulk);
    turn_begin_part(turn, LAST_WORK);
    turn_run_deferred(turn, transport_on_turn);
    timer_wheel_visit(&turn->wheel, read_rest, loop);
    turn_begin_part(turn, LAST_WORK);
    loop->has_rest = callbacks->on_rest && callbacks->on_rest(loop->options.owner);
    transport_settle_pending(turn);
    if (callbacks->on_turn_end)
        callbacks->on_turn_end(loop->options.owner);
}

bool loop_is_done(const struct loop *loop)
{
    // Without the lock of the mailbox: no loop runs any more.
    return !loop->is_held_up && !has_work(loop) && mailbox_is_empty(&loop->turn.mailbox);
}

static void drop_mail(struct loop *loop)
{
    struct mailbox *mailbox = &loop->turn.mailbox;
    const struct mail *mail;
    mailbox_heed(mailbox);
    while ((mail = mailbox_next(mailbox)) || (mail = mailbox_next_bulk(mailbox))) {
        if (mail->kind == MAIL_TRANSPORT)
            loop->turn.rules->on_close(mail->object);
        else
            loop->options.callbacks->on_mail_dropped(loop->options.owner, mail);
    }
}

void loop_drop_all(struct loop *loop)
{
    const struct transport_rules *rules = loop->turn.rules;
    while (!mailbox_is_empty(&loop->turn.mailbox))
        drop_mail(loop);
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
