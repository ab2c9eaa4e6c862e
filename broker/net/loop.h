// SPDX-License-Identifier: Apache-2.0
// An event loop: one thread with an epoll set, listeners, transports and a mailbox.
//
// A turn is one iteration of the loop, of these parts, each with a budget of work (turn.h):
//
//     mail         the few mail messages of other loops (mailbox.h)
//     events       of transports that are not heavy; those that the budget does not reach come first in the next turn
//     deferred     transports that have more to do, and heavy ones
//     bulk mail    the bulk of other loops
//     deadlines
//     the rest     work of the owner that no client waits for
//     settling     sends pending output and closes dead transports: those of this turn, then those of earlier ones
//
// Deferred transports and bulk mail wait while transports of earlier turns have to be settled. Both produce output, and the more
// of it comes together, the more of it shares a write. Closing comes last, so nothing is freed while it is in use.
//
// The loop does not interpret bytes. It calls its owner's functions, on its own thread.
//
//     struct loop *loop;
//     if (loop_open(&loop, &options, &err) < 0) ...
//     if (loop_listen(loop, &address, false, &err) < 0 || loop_start(loop, &err) < 0) ...
//     ...
//     loop_stop(loop);
//     loop_last_turn(loop);      // after every loop has stopped
//     loop_drop_all(loop);
//     loop_close(loop);
#ifndef POOLMARK_BROKER_NET_LOOP_H
#define POOLMARK_BROKER_NET_LOOP_H

#include "base/err.h"
#include "base/address.h"
#include "broker/net/turn.h"

#include <pthread.h>

struct loop;

enum {
    LOOP_EVENTS = TURN_EVENTS,
    LOOP_STACK_BYTES = 256 << 10,
};

// A descriptor of the owner that the loop watches for input. The struct must stay valid until
// loop_close_watch.
struct loop_watch {
    uint8_t source; // SOURCE_WATCH
    int fd;
};

struct loop_callbacks {
    // A client was accepted. The owner takes over `fd`. `is_last`: the process has no other descriptor left,
    // so the owner must give this one back soon, by loop_close_watch.
    void (*on_client)(void *owner, int fd, bool is_last);
    void (*on_accept_failed)(void *owner);                         // accept failed; descriptors are left
    void (*on_mail)(void *owner, const struct mail *mail);         // all kinds but MAIL_TRANSPORT
    void (*on_mail_dropped)(void *owner, const struct mail *mail); // called by loop_drop_all instead
    void (*on_watch)(void *owner, struct loop_watch *watch);       // has input; the call may be spurious
    void (*on_tick)(void *owner);                                  // about every TIMER_TICK_NS
    bool (*on_rest)(
        void *owner); // does some of what nobody waits for, until turn_part_is_over; true: more is left
    void (*on_turn_end)(void *owner); // transports are settled; NULL: not called
};

struct loop_options {
    unsigned index; // for error texts
    void *owner;
    const struct loop_callbacks *callbacks;
    const struct transport_rules *rules;
    _Atomic int64_t *bytes_received, *bytes_sent; // counters of the owner; the loop adds to them
    _Atomic int64_t *long_turns;                  // of more than TURN_LONG_MS (turn_times.h)
    pthread_rwlock_t *descriptors;                // shared by all loops (spare_fds.h)
    int listeners_max;
};

// 0, or -errno with the text in `err` and everything undone. The options' pointers must outlive the loop.
int loop_open(struct loop **loop, const struct loop_options *options, struct err *err)
    __attribute__((warn_unused_result));

// Before loop_start. If the port in `address` is 0, it is set to the port that the kernel chose.
int loop_listen(struct loop *loop, struct address *address, bool is_shared, struct err *err)
    __attribute__((warn_unused_result));

int loop_start(struct loop *loop, struct err *err) __attribute__((warn_unused_result));
void loop_stop(struct loop *loop); // returns after the thread has ended; keeps the transports
// A turn on the caller's thread, after all loops have stopped: handles what the sockets of the transports have
// received by now, what was deferred, and mail. It accepts nobody and waits for nothing.
void loop_last_turn(struct loop *loop);
bool loop_is_done(
    const struct loop *loop); // would a further last turn find nothing left over or posted meanwhile?
void loop_drop_all(struct loop *loop); // closes all transports, drops all mail; after all loops have stopped
void loop_close(struct loop *loop);    // NULL is allowed

struct turn *loop_turn(struct loop *loop); // for opening transports and for mail
int loop_failure(const struct loop *loop); // errno of epoll_wait that ended the loop; 0: none. Any thread

size_t loop_bytes(struct loop *loop); // what it has allocated. Any thread
// The addresses of its thread's stack: `*from` to before `*to`. 0, or -errno; while the thread runs. Any thread.
int loop_stack(const struct loop *loop, uintptr_t *from, uintptr_t *to) __attribute__((warn_unused_result));

// The longest turn, in CPU time of the thread (turn_times.h), and the most work of a turn (turn.h). Any thread.
int64_t loop_longest_turn_ns(const struct loop *loop);
int64_t loop_most_work(const struct loop *loop);

bool loop_has_spare(const struct loop *loop); // has it a descriptor left in its reserve?

int loop_add_watch(struct loop *loop, struct loop_watch *watch)
    __attribute__((warn_unused_result));                            // 0 or -errno
void loop_close_watch(struct loop *loop, struct loop_watch *watch); // closes the descriptor

bool loop_is_valid(const struct loop *loop); // for checked builds

#endif
