// SPDX-License-Identifier: Apache-2.0
// An event loop: one thread, one epoll set, its listeners, connections and sessions, which no other thread
// touches. The fields are for the broker's own modules, on the loop's thread; `counters` may be read by any.
//
// One turn: connections that were deferred, events as epoll gives them, letters of other loops, deadlines;
// then what the turn left to send is
// sent and what died is closed (`pending`). So nothing is freed while an event may still point at it.
#ifndef POOLMARK_BROKER_NET_LOOP_H
#define POOLMARK_BROKER_NET_LOOP_H

#include "base/err.h"
#include "broker/config.h"
#include "broker/mqtt/counters.h"
#include "broker/net/listener.h"
#include "broker/net/mailbox.h"
#include "broker/mqtt/refuse.h"
#include "broker/net/timer_wheel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct connection;

enum {
    LOOP_SCRATCH_BYTES = 65536,
    LOOP_EVENTS = 64, // of one turn, at most
    LOOP_TURN_WORK =
        8192, // deliveries and packets of a turn, after which each connection gets one packet handled
    LOOP_FLUSH_WORK = 8, // what a message that is sent by itself counts
};

struct loop {
    struct broker *broker;
    uint16_t index;
    int epoll_fd;
    int64_t start_ns;
    uint32_t tick; // TIMER_TICK_NS since start
    struct timer_wheel wheel;
    struct connection *pending_first, *pending_last;
    uint32_t pending_count;
    uint32_t work;                // done in this turn
    bool is_urgent;               // nothing is deferred now
    struct connection **deferred; // to go on in the next turn; NULL: forgotten
    size_t deferred_count, deferred_capacity;
    struct mailbox mailbox;
    struct refusals refusals;
    struct listener listeners[CONFIG_LISTEN_MAX];
    int listener_count;
    bool is_accepting;
    uint8_t *scratch;      // what a connection without a buffer reads into
    uint64_t ids_made;     // client ids given to clients without one
    uint16_t hand_over_to; // set by a handler that returns HANDLE_ELSEWHERE
    struct broker_counters counters;
    pthread_t thread;
    bool is_started;
    _Atomic bool is_stopping;
    _Atomic int failure; // errno of epoll_wait: the loop has ended by itself
};

int loop_open(struct loop **loop, struct broker *broker, uint16_t index, struct err *err)
    __attribute__((warn_unused_result));

// `address` gets the port when it was 0.
int loop_listen(struct loop *loop, struct address *address, bool is_shared, struct err *err)
    __attribute__((warn_unused_result));

int loop_start(struct loop *loop, struct err *err) __attribute__((warn_unused_result));
void loop_stop(struct loop *loop); // returns when its thread has ended; the connections are still there
void loop_close_connections(struct loop *loop); // no loop of the broker runs any more
void loop_close(struct loop *loop);             // NULL is allowed

// The connection will be looked at when this turn's events are done.
void loop_add_pending(struct loop *loop, struct connection *connection);

// Has this turn done enough? Then what a connection has sent beyond one packet waits for the next one, so
// that others are served in between.
static inline bool loop_is_busy(const struct loop *loop)
{
    return loop->work >= LOOP_TURN_WORK && !loop->is_urgent;
}

// The connection goes on in the next turn (connection_on_turn). false: no memory, it is to go on now.
bool loop_defer(struct loop *loop, struct connection *connection);
void loop_forget_deferred(struct loop *loop, struct connection *connection);

// Moves a connection whose CONNECT is still to be answered to the loop that owns its session; its input so
// far is in its read buffer. true: it is not to be touched any more; false: it is still here, and dead.
bool loop_hand_over(struct loop *loop, struct connection *connection, uint16_t to_index);

// Counts a message that somebody does not get: its queue is full (-EDQUOT), it may not be published
// (-EACCES), or there is no memory.
void loop_count_dropped(struct loop *loop, int code);

void loop_pause_accepting(struct loop *loop); // until the next tick

#endif
