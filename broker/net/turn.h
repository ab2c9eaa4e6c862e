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
// No transport delays others for long. A turn has parts, and each part has a budget of work (TURN_WORK). Work is counted in
// units of about 0.2 us of the processor: for a packet, a delivery, a write, bytes copied. In a part each transport gets a share.
// A transport that has used its share is deferred: it is not read until a later part goes on with it. A transport that used much
// at once is heavy: until it uses little, its events are handled after those of others. Output and ends that do not fit into the
// budget wait for the next turn, and are handled there after what that turn brings.
#ifndef POOLMARK_BROKER_NET_TURN_H
#define POOLMARK_BROKER_NET_TURN_H

#include "broker/net/mailbox.h"
#include "broker/net/timer_wheel.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/uio.h>

struct turn;

enum {
    TURN_SCRATCH_BYTES = 65536,
    TURN_READ_BYTES = 256 << 10, // most bytes of one read
    TURN_PARTS = 4,              // most parts of a source
    TURN_EVENTS = 64,            // most events of one look at the epoll set
};

// Work, in units of about 0.2 us.
enum {
    TURN_WORK = 4096,      // of a part of a turn
    TURN_SHARE_MIN = 2048, // the smallest share of a transport in a part
    TURN_HEAVY = 1024,     // a transport that used so much at once is heavy
    TURN_LIGHT = 256, // a heavy one that used less, and is not deferred, is light again; mail of more is bulk
    TURN_PENDING = 128,   // with so many transports to settle, further events wait
    TURN_ALONE = 16384,   // in a turn of more work no packet is sent by a write of its own (is_last)
    TURN_WRITE_WORK = 32, // of a call that sends
    TURN_CLOSE_WORK = 64, // of the end of a transport
    TURN_OPEN_WORK = 64,  // of its beginning
    TURN_TIMER_WORK = 8,  // of a timer that is due
};

// The work of copying bytes.
static inline uint32_t turn_copy_work(size_t bytes)
{
    return (uint32_t)(bytes >> 10);
}

// The first byte of every object that an epoll event points at: one of these, and flags of a transport.
enum event_source { SOURCE_TRANSPORT, SOURCE_LISTENER, SOURCE_WATCH, SOURCE_MAILBOX };
enum {
    SOURCE_MASK = 3,
    TRANSPORT_HEAVY = 4,
    TRANSPORT_OWNER_FLAG = 8, // these three are free for the owner
    TRANSPORT_OWNER_FLAG_2 = 16,
    TRANSPORT_OWNER_FLAG_3 = 32,
};

// Mail of the loops themselves: a transport moves to another loop. The owner defines all other kinds.
enum { MAIL_TRANSPORT = 0 };

struct input;  // transport_input.c
struct output; // transport_output.c

struct transport {
    uint8_t source;          // SOURCE_TRANSPORT, and flags
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
    void (*on_settle)(struct transport *transport); // the turn ends
    void (*on_resume)(struct transport *transport); // it was deferred, and kept bytes were shown; it can send
    void (*on_timer)(struct transport *transport);  // its timer is due, and out of the wheel
    void (*on_moved)(struct transport *transport);  // it has arrived at this loop
    void (*on_close)(struct transport *transport);  // the owner calls transport_close and frees it
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
    enum transport_leave (*may_send)(struct transport *transport);
    size_t read_bytes, write_bytes;
    bool is_eager; // a transport has its buffers from open to close
};

struct pending_list {
    struct transport *first, *last;
    uint32_t count;
};

// The owner may read the fields up to its counters, may add to `work` and to these, and set `is_last`. The others are for
// net/ alone.
struct turn {
    void *owner;
    const struct transport_rules *rules;
    uint32_t tick;  // in units of TIMER_TICK_NS, since the loop was opened
    uint32_t work;  // of this turn so far
    bool is_urgent; // nothing is deferred now
    bool is_single; // this turn has one event, and nothing waits from earlier ones
    bool is_bulk;   // the transport that is served now has used much before
    // The owner sets it within on_bytes: the packet is the last of the turn, so no later packet can share a write with it.
    bool is_last;
    _Atomic int64_t *bytes_received, *bytes_sent; // the owner's counters

    int epoll_fd;
    // `work` at which the part ends, and the share of the present transport begins and ends
    uint32_t part_end, share_begin, share_end;
    struct epoll_event events[TURN_EVENTS];
    int event_at, event_count; // events from event_at on are not served yet
    uint8_t *scratch;          // read buffer for transports without one
    struct timer_wheel wheel;
    struct pending_list pending, late; // `late`: of earlier turns
    struct transport **deferred;       // from deferred_first on; NULL entries are no longer deferred
    size_t deferred_first, deferred_count;
    _Atomic size_t deferred_capacity; // relaxed: its thread alone writes it, others count bytes
    struct mailbox mailbox;
};

// 0, or -errno; then `*failed` is the name of the call that failed.
int turn_open(struct turn *turn, const char **failed) __attribute__((warn_unused_result));
void turn_close(struct turn *turn); // after the last transport was closed

size_t
turn_bytes(struct turn *turn); // of its read buffer, its mailbox and its list of deferred ones. Any thread

// Begins a part of the turn, with a budget of `work`.
static inline void turn_begin_part(struct turn *turn, uint32_t work)
{
    turn->share_begin = turn->work;
    turn->part_end = turn->share_end = turn->work + work;
}

static inline bool turn_part_is_over(const struct turn *turn)
{
    return turn->work >= turn->part_end;
}

// Begins the share of a transport: the rest of the part, divided by the `count` that want some; TURN_SHARE_MIN at least.
static inline void turn_begin_share(struct turn *turn, size_t count)
{
    uint32_t left = turn_part_is_over(turn) ? 0 : turn->part_end - turn->work, share = TURN_SHARE_MIN;
    if (left > TURN_SHARE_MIN * count) // seldom with several: a division costs more than the rest of this
        share = count > 1 ? (uint32_t)(left / count) : left;
    turn->share_begin = turn->work;
    turn->share_end = turn->work + share;
}

// Has the present transport used much, in this share or before? Then what it sends others is bulk (mailbox.h).
static inline bool turn_is_bulk(const struct turn *turn)
{
    return turn->is_bulk || turn->work - turn->share_begin >= TURN_LIGHT;
}

// Has the present transport used up its share? Then its further work waits (turn_defer), so that others are
// served in between.
static inline bool turn_is_busy(const struct turn *turn)
{
    return turn->work >= turn->share_end && !turn->is_urgent;
}

// How many transports are to be settled; and does one of an earlier turn wait for that?
static inline uint32_t turn_unsettled(const struct turn *turn)
{
    return turn->pending.count + turn->late.count;
}

static inline bool turn_is_late(const struct turn *turn)
{
    return turn->late.count > 0;
}

// Posts mail to the owner of another loop, as mailbox_post does. Any thread. `kind` is not MAIL_TRANSPORT.
int turn_post(struct turn *turn, const struct mail *mail, size_t limit) __attribute__((warn_unused_result));

// The loop settles or closes a pending transport at the end of the turn, or of a later one.
void turn_add_pending(struct transport *transport);
void turn_remove_pending(struct transport *transport);
struct transport *
turn_take_pending(struct turn *turn);                // removes and returns the first of this turn; NULL: none
struct transport *turn_take_late(struct turn *turn); // of earlier turns
void turn_make_late(struct turn *turn);              // those of this turn wait, behind those of earlier ones

// Defers the transport. false: no memory, so the caller must go on with it now.
bool turn_defer(struct transport *transport);
void turn_forget_deferred(struct transport *transport);
size_t turn_deferred(const struct turn *turn); // an upper bound of how many are deferred
// Calls `resume` for transports that were deferred before this call, in order, until the part is over; for one at
// least.
void turn_run_deferred(struct turn *turn, void (*resume)(struct transport *transport));

// Events that are not served yet shall not name this transport: it is closed, or moves to another loop.
void turn_forget_events(struct transport *transport);

// Makes the transport heavy or light again, by the work that it has used at once.
void turn_weigh(struct transport *transport, uint32_t work);

static inline bool transport_is_heavy(const struct transport *transport)
{
    return transport->source & TRANSPORT_HEAVY;
}

// Marks the transport dead. The loop closes it at the end of the turn. Repeated calls are allowed.
void turn_fail(struct transport *transport);

#endif
