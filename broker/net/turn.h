// SPDX-License-Identifier: Apache-2.0
// The transports of a loop, and the state of the loop's turn that they share.
//
// A transport is one TCP connection as bytes: its socket, input whose end has not come, output that the
// socket has not taken. It is embedded in an object of its owner and belongs to one loop, whose thread alone
// touches it. What the bytes mean is the owner's affair: struct transport_rules has the owner's functions.
//
// Nothing is freed under a caller's feet. A transport that fails is marked dead and goes to the list of
// pending transports. At the end of the turn the loop calls the owner for each transport in that list:
// on_settle for one that lives, on_close for one that is dead.
//
// A transport that has had its share of a turn is deferred: it goes on in the next turn, and is not read from
// before.
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
    TURN_WORK = 8192, // packets and deliveries of a turn; then each transport gets one packet handled
    TURN_PARTS = 4,   // of a source
};

// First byte of whatever an epoll event points at.
enum event_source { SOURCE_TRANSPORT, SOURCE_LISTENER, SOURCE_WATCH, SOURCE_MAILBOX };

// Mail of the loops themselves: a transport that moves. Other kinds are the owner's.
enum { MAIL_TRANSPORT = 0 };

struct input;  // transport_input.c
struct output; // transport_output.c

struct transport {
    uint8_t source;          // SOURCE_TRANSPORT
    uint8_t is_pending : 1;  // in the turn's list
    uint8_t is_blocked : 1;  // the socket takes no more: waits for EPOLLOUT
    uint8_t is_paused : 1;   // not read from until its output has been sent
    uint8_t is_watched : 1;  // its descriptor is in the loop's epoll set
    uint8_t is_broken : 1;   // nothing can be sent any more; received bytes are still read
    uint8_t is_deferred : 1; // goes on in the next turn
    uint8_t is_dead : 1;     // nothing is read or sent any more; closed at the end of the turn
    uint8_t owner_bit : 1;   // the owner's to use
    uint16_t owner_word;     // the owner's to use
    int fd;
    struct timer_node timer; // its owner_word is the owner's to use
    struct turn *turn;
    struct input *in;
    struct output *out;
    struct transport *next_pending;
};

// What the owner did with the bytes that it was shown.
enum transport_next {
    TRANSPORT_CONTINUE,
    TRANSPORT_PAUSE, // not read from, and not shown again, until its output has been sent
    TRANSPORT_MOVE,  // goes to the loop of `to`, which shows the rest to the owner again
};

struct transport_used {
    size_t bytes;  // used up; the rest is kept
    size_t needed; // bytes that have to be there, counted from the rest, before it is worth another look
    enum transport_next next;
    struct turn *to;
};

enum transport_buffer {
    BUFFER_READ,        // read_bytes large
    BUFFER_READ_LARGER, // as large as asked
    BUFFER_WRITE,       // write_bytes large
};

// Bytes that are sent from where they lie.
struct transport_parts {
    struct iovec parts[TURN_PARTS];
    uint8_t storage[16]; // for parts that lie nowhere else
};

// The owner's functions, and the sizes of its buffers. The same for all loops; never changed.
struct transport_rules {
    // Bytes have come, those kept before among them. The transport may be dead afterwards.
    struct transport_used (*on_bytes)(struct transport *transport, const uint8_t *data, size_t size);
    void (*on_settle)(struct transport *transport);    // end of a turn
    void (*on_resume)(struct transport *transport);    // it was deferred; neither dead nor broken
    void (*on_timer)(struct transport *transport);     // its timer is due, and out of the wheel
    void (*on_moved)(struct transport *transport);     // it has come to this loop
    void (*on_close)(struct transport *transport);     // the owner calls transport_close, and frees
    void (*on_no_memory)(struct transport *transport); // there was no buffer for its input: it is dead
    // A buffer, or NULL. `owner` is the turn's.
    void *(*get_buffer)(void *owner, enum transport_buffer kind, size_t bytes);
    void (*put_buffer)(void *owner, enum transport_buffer kind, void *buffer, size_t bytes);
    // The bytes of `source`, all of them in at most TURN_PARTS parts.
    void (*list_parts)(const void *source, uint64_t form, struct transport_parts *parts);
    void *(*hold_source)(void *source); // another reference; returns it
    void (*release_source)(void *source);
    size_t read_bytes, write_bytes;
    bool is_eager; // a transport has its buffers from the beginning, for good
};

// The owner may read the fields up to `is_urgent`, and may add to `work`. The others are for net/ alone.
struct turn {
    void *owner;
    const struct transport_rules *rules;
    uint32_t tick;  // TIMER_TICK_NS since the loop was opened
    uint32_t work;  // done in this turn
    bool is_urgent; // nothing is deferred now

    int epoll_fd;
    uint8_t *scratch; // a transport without a buffer is read into this
    struct timer_wheel wheel;
    struct transport *pending_first, *pending_last;
    uint32_t pending_count;
    struct transport **deferred; // NULL: forgotten
    size_t deferred_count, deferred_capacity;
    struct mailbox mailbox;
    _Atomic int64_t *bytes_received, *bytes_sent; // the owner's counters
};

int turn_open(struct turn *turn) __attribute__((warn_unused_result)); // 0 or -errno
void turn_close(struct turn *turn);                                   // no transport is left

// Has this turn done enough? Then what a transport has sent beyond one packet waits for the next turn, so
// that others are served in between.
static inline bool turn_is_busy(const struct turn *turn)
{
    return turn->work >= TURN_WORK && !turn->is_urgent;
}

// Sends mail to the owner of another loop. Any thread. As mailbox_post; `kind` is not MAIL_TRANSPORT.
int turn_post(struct turn *turn, const struct mail *mail, size_t limit) __attribute__((warn_unused_result));

// The transport is settled or closed when the events of this turn are done.
void turn_add_pending(struct transport *transport);
void turn_remove_pending(struct transport *transport);
struct transport *turn_take_pending(struct turn *turn); // the next one, out of the list; NULL: none

// The transport goes on in the next turn. false: no memory, it is to go on now.
bool turn_defer(struct transport *transport);
void turn_forget_deferred(struct transport *transport);
// Calls `resume` for those that the turn before deferred, in their order.
void turn_run_deferred(struct turn *turn, void (*resume)(struct transport *transport));

// Marks it dead. The loop closes it at the end of the turn. May be called again.
void turn_fail(struct transport *transport);

#endif
