// SPDX-License-Identifier: Apache-2.0
// The transports of a loop, and the state of a turn (one iteration of the loop) that they share.
//
// A transport is one TCP connection as bytes: a socket, incomplete input, and output that the socket has not
// taken. It is embedded in an object of its owner. It belongs to one loop, and only that loop's thread
// touches it. The owner interprets the bytes, in the functions of struct transport_rules.
//
// Nothing is freed while a caller still uses it. A transport that fails is marked dead and joins the list of
// pending transports. At the end of the turn the loop calls the owner for each transport in that list:
// on_settle for a live one, on_close for a dead one.
//
// A transport that has used its share of a turn is deferred. The next turn goes on with it; until then it is
// not read.
#ifndef POOLMARK_BROKER_NET_TURN_H
#define POOLMARK_BROKER_NET_TURN_H

#include "broker/net/mailbox.h"
#include "broker/net/timer_wheel.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct turn;

enum {
    TURN_SCRATCH_BYTES = 65536,
    TURN_WORK = 8192, // packets and deliveries of a turn; past it each transport gets one packet handled
    TURN_PARTS = 4,   // most parts of a source
};

// The first byte of every object that an epoll event points at.
enum event_source { SOURCE_TRANSPORT, SOURCE_LISTENER, SOURCE_WATCH, SOURCE_MAILBOX };

// Mail of the loops themselves: a transport moves to another loop. The owner defines all other kinds.
enum { MAIL_TRANSPORT = 0 };

struct input;  // transport_input.c
struct output; // transport_output.c

struct transport {
    uint8_t source;          // SOURCE_TRANSPORT
    uint8_t is_pending : 1;  // in the turn's list
    uint8_t is_blocked : 1;  // the socket takes no more; waits for EPOLLOUT
    uint8_t is_paused : 1;   // not read until its output has been sent
    uint8_t is_watched : 1;  // its descriptor is in the loop's epoll set
    uint8_t is_broken : 1;   // nothing can be sent any more; received bytes are still read
    uint8_t is_deferred : 1; // goes on in the next turn
    uint8_t is_dead : 1;     // nothing is read or sent any more; closed at the end of the turn
    uint8_t owner_bit : 1;   // free for the owner
    uint16_t owner_word;     // free for the owner
    int fd;
    struct timer_node timer; // its owner_word is free for the owner
    struct turn *turn;
    struct input *in;
    struct output *out;
    struct transport *next_pending;
};

// How the transport goes on after on_bytes.
enum transport_next {
    TRANSPORT_CONTINUE,
    TRANSPORT_PAUSE, // no reading and no on_bytes until its output has been sent
    TRANSPORT_MOVE,  // moves to the loop of `to`, which calls on_bytes with the rest
};

struct transport_used {
    size_t bytes;  // consumed; the transport keeps the rest
    size_t needed; // size that the rest must reach before the owner can use more of it
    enum transport_next next;
    struct turn *to;
};

enum transport_buffer {
    BUFFER_READ,        // read_bytes large
    BUFFER_READ_LARGER, // as large as asked
    BUFFER_WRITE,       // write_bytes large
};

// May the output of a transport leave?
enum transport_leave {
    LEAVE_NOW,
    LEAVE_LATER, // when the turn ends
    LEAVE_NEVER, // the transport breaks
};

// Bytes that are sent in place, without a copy.
struct transport_parts {
    struct iovec parts[TURN_PARTS];
    uint8_t storage[16]; // for parts that list_parts has to make
};

// The owner's functions, and the sizes of its buffers. The same for all loops; never changed.
struct transport_rules {
    // Called with the kept bytes and the new ones behind them. The transport may be dead afterwards.
    struct transport_used (*on_bytes)(struct transport *transport, const uint8_t *data, size_t size);
    void (*on_settle)(struct transport *transport);    // the turn ends
    void (*on_resume)(struct transport *transport);    // it was deferred; it is neither dead nor broken
    void (*on_timer)(struct transport *transport);     // its timer is due, and out of the wheel
    void (*on_moved)(struct transport *transport);     // it has arrived at this loop
    void (*on_close)(struct transport *transport);     // the owner calls transport_close and frees it
    void (*on_no_memory)(struct transport *transport); // it is dead, for lack of an input buffer
    // Returns a buffer, or NULL. `owner` is the turn's owner.
    void *(*get_buffer)(void *owner, enum transport_buffer kind, size_t bytes);
    void (*put_buffer)(void *owner, enum transport_buffer kind, void *buffer, size_t bytes);
    // Lists all bytes of `source` in at most TURN_PARTS parts.
    void (*list_parts)(const void *source, uint64_t form, struct transport_parts *parts);
    void *(*hold_source)(void *source); // takes a reference; returns `source`
    void (*release_source)(void *source);
    // Called before each write. With it a source is held until the turn ends, so that one call serves all
    // transports of a turn. NULL: output may always leave.
    enum transport_leave (*may_send)(void *owner);
    size_t read_bytes, write_bytes;
    bool is_eager; // a transport has its buffers from open to close
};

// The owner may read the fields up to its counters, may add to `work` and to these, and set `is_last`. The others are for
// net/ alone.
struct turn {
    void *owner;
    const struct transport_rules *rules;
    uint32_t tick;  // in units of TIMER_TICK_NS, since the loop was opened
    uint32_t work;  // packets and deliveries of this turn so far
    bool is_urgent; // nothing is deferred now
    bool is_single; // this turn has one event and nothing deferred
    // The owner's, within on_bytes: the packet is the last of the turn. So no later one can share a write with it.
    bool is_last;
    _Atomic int64_t *bytes_received, *bytes_sent; // the owner's counters

    int epoll_fd;
    uint8_t *scratch; // read buffer for transports without one
    struct timer_wheel wheel;
    struct transport *pending_first, *pending_last;
    uint32_t pending_count;
    struct transport **deferred; // NULL entries are no longer deferred
    size_t deferred_count;
    _Atomic size_t deferred_capacity; // relaxed: its thread alone writes it, others count bytes
    struct mailbox mailbox;
};

// 0, or -errno; then `*failed` is the name of the call that failed.
int turn_open(struct turn *turn, const char **failed) __attribute__((warn_unused_result));
void turn_close(struct turn *turn); // after the last transport was closed

size_t
turn_bytes(struct turn *turn); // of its read buffer, its mailbox and its list of deferred ones. Any thread

// Has this turn used up its budget? Then a transport's further packets wait for the next turn, so that other
// transports are served in between.
static inline bool turn_is_busy(const struct turn *turn)
{
    return turn->work >= TURN_WORK && !turn->is_urgent;
}

// Posts mail to the owner of another loop, as mailbox_post does. Any thread. `kind` is not MAIL_TRANSPORT.
int turn_post(struct turn *turn, const struct mail *mail, size_t limit) __attribute__((warn_unused_result));

// The loop settles or closes a pending transport at the end of the turn.
void turn_add_pending(struct transport *transport);
void turn_remove_pending(struct transport *transport);
struct transport *turn_take_pending(struct turn *turn); // removes and returns the first; NULL: none

// Defers the transport to the next turn. false: no memory, so the caller must go on with it now.
bool turn_defer(struct transport *transport);
void turn_forget_deferred(struct transport *transport);
// Calls `resume` for each transport that the previous turn deferred, in order.
void turn_run_deferred(struct turn *turn, void (*resume)(struct transport *transport));

// Marks the transport dead. The loop closes it at the end of the turn. Repeated calls are allowed.
void turn_fail(struct transport *transport);

#endif
