// SPDX-License-Identifier: Apache-2.0
// An event loop: one thread, one epoll set, listeners, transports, a mailbox.
//
// One turn: transports that were deferred, events as epoll gives them, mail of other loops, deadlines. Then
// what the turn left to send is sent, and what died is closed. So nothing is freed while an event may still
// point at it.
//
// The loop knows nothing of what the bytes mean. It calls its owner, on its own thread.
//
//     struct loop *loop;
//     if (loop_open(&loop, &options, &err) < 0) ...
//     if (loop_listen(loop, &address, false, &err) < 0 || loop_start(loop, &err) < 0) ...
//     ...
//     loop_stop(loop);
//     loop_drop_all(loop);       // when every loop has stopped
//     loop_close(loop);
#ifndef POOLMARK_BROKER_NET_LOOP_H
#define POOLMARK_BROKER_NET_LOOP_H

#include "base/err.h"
#include "broker/net/address.h"
#include "broker/net/turn.h"

#include <pthread.h>

struct loop;

enum { LOOP_EVENTS = 64 }; // of one turn, at most

// Another descriptor that the loop is to watch for input. Its object stays until loop_close_watch.
struct loop_watch {
    uint8_t source; // SOURCE_WATCH
    int fd;
};

struct loop_callbacks {
    // A client was accepted; the owner takes `fd`. `is_last`: the process has no descriptor left but this
    // one, and the owner is to give it back soon, by loop_close_watch.
    void (*on_client)(void *owner, int fd, bool is_last);
    void (*on_accept_failed)(void *owner);                         // the system did not let a client in
    void (*on_mail)(void *owner, const struct mail *mail);         // of another kind than MAIL_TRANSPORT
    void (*on_mail_dropped)(void *owner, const struct mail *mail); // instead, in loop_drop_all
    void (*on_watch)(void *owner, struct loop_watch *watch);       // there may be input, or not any more
    void (*on_tick)(void *owner);                                  // every TIMER_TICK_NS, about
};

struct loop_options {
    unsigned index; // for messages
    void *owner;
    const struct loop_callbacks *callbacks;
    const struct transport_rules *rules;
    _Atomic int64_t *bytes_received, *bytes_sent; // counters of the owner; the loop adds to them
    pthread_rwlock_t *descriptors;                // shared by all loops (spare_fds.h)
    int listeners_max;
};

// 0, or -errno with the text in `err` and everything undone. The options' pointers outlive the loop.
int loop_open(struct loop **loop, const struct loop_options *options, struct err *err)
    __attribute__((warn_unused_result));

// `address` gets the port when it was 0.
int loop_listen(struct loop *loop, struct address *address, bool is_shared, struct err *err)
    __attribute__((warn_unused_result));

int loop_start(struct loop *loop, struct err *err) __attribute__((warn_unused_result));
void loop_stop(struct loop *loop);     // returns when its thread has ended; the transports are still there
void loop_drop_all(struct loop *loop); // closes every transport, drops all mail; no loop runs any more
void loop_close(struct loop *loop);    // NULL is allowed

struct turn *loop_turn(struct loop *loop); // for opening transports and for mail
int loop_failure(const struct loop *loop); // errno that ended the loop by itself; 0: none. Any thread

int loop_add_watch(struct loop *loop, struct loop_watch *watch)
    __attribute__((warn_unused_result));                            // 0 or -errno
void loop_close_watch(struct loop *loop, struct loop_watch *watch); // closes the descriptor

bool loop_is_valid(const struct loop *loop); // for checked builds

#endif
