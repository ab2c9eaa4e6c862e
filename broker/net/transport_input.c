// SPDX-License-Identifier: Apache-2.0
#include "broker/net/transport_input.h"

#include "broker/net/counter.h"
#include "broker/net/transport_output.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

// A buffer grows with the bytes received, not with the announced size, so an announcement costs no memory.
enum { LARGER_BYTES_MIN = 16 << 10 };

enum { PENDING_WEIGHT = 8 }; // of each transport that has to be settled because of the bytes

struct input {
    uint32_t start, end, capacity; // kept: bytes[start .. end)
    bool is_larger;                // BUFFER_READ_LARGER; else BUFFER_READ
    uint8_t bytes[];
};

static struct input *new_input(const struct turn *turn, enum transport_buffer kind, size_t bytes)
{
    struct input *in = turn->rules->get_buffer(turn->owner, kind, bytes);
    if (in)
        *in = (struct input){.capacity = (uint32_t)(bytes - sizeof *in),
                             .is_larger = kind == BUFFER_READ_LARGER};
    return in;
}

static struct input *usual_input(const struct turn *turn)
{
    return new_input(turn, BUFFER_READ, turn->rules->read_bytes);
}

bool transport_prepare_input(struct transport *transport)
{
    transport->in = usual_input(transport->turn);
    return transport->in != NULL;
}

void transport_free_input(struct transport *transport)
{
    const struct turn *turn = transport->turn;
    struct input *in = transport->in;
    if (!in)
        return;
    turn->rules->put_buffer(turn->owner, in->is_larger ? BUFFER_READ_LARGER : BUFFER_READ, in,
                            sizeof *in + in->capacity);
    transport->in = NULL;
}

// No bytes are left to keep. A lazy transport gives its buffer back; an eager one returns to its usual one.
static void keep_nothing(struct transport *transport)
{
    struct input *in = transport->in;
    bool is_eager = transport->turn->rules->is_eager;
    if (in && !in->is_larger && is_eager) {
        in->start = in->end = 0;
        return;
    }
    transport_free_input(transport);
    if (is_eager)
        transport->in = usual_input(transport->turn); // NULL: it reads into the loop's scratch buffer
}

// A buffer for a packet of `needed` bytes with `rest` bytes received: a usual buffer, or room for 2 * `rest`.
static struct input *larger_input(const struct turn *turn, size_t rest, size_t needed)
{
    if (rest < turn->rules->read_bytes - sizeof(struct input))
        return usual_input(turn);
    size_t capacity = rest * 2 > LARGER_BYTES_MIN ? rest * 2 : LARGER_BYTES_MIN;
    capacity = capacity < needed ? capacity : needed > rest ? needed : rest;
    return new_input(turn, BUFFER_READ_LARGER, sizeof(struct input) + capacity);
}

// Keeps the `rest` bytes at `from`, with room for more when their packet needs it.
static void keep(struct transport *transport, const uint8_t *from, size_t rest, size_t needed)
{
    struct input *in = transport->in;
    if (rest == 0) {
        keep_nothing(transport);
        return;
    }
    // A deferred transport is shown the rest once more before it is read. So the rest is not moved each time.
    if (in && transport->is_deferred && in->bytes <= from && from < in->bytes + in->capacity) {
        in->start = (uint32_t)(from - in->bytes);
        in->end = in->start + (uint32_t)rest;
        return;
    }
    bool is_full = in && rest >= in->capacity && needed > rest;
    bool stays = in && rest <= in->capacity && !is_full;
    if (!stays || from != in->bytes)
        transport->turn->work += turn_copy_work(rest);
    if (stays) {
        if (from != in->bytes)
            memmove(in->bytes, from, rest);
        in->start = 0;
        in->end = (uint32_t)rest;
        return;
    }
    struct input *larger = larger_input(transport->turn, rest, needed);
    if (!larger) {
        turn_fail(transport);
        transport->turn->rules->on_no_memory(transport);
        return;
    }
    memcpy(larger->bytes, from, rest);
    larger->end = (uint32_t)rest;
    transport_free_input(transport);
    transport->in = larger;
}

// true: the transport belongs to the other loop and must not be touched; false: it is still here, and dead.
static bool move(struct transport *transport, struct turn *to)
{
    struct turn *turn = transport->turn;
    struct mail mail = {.kind = MAIL_TRANSPORT, .object = transport};
    if (epoll_ctl(turn->epoll_fd, EPOLL_CTL_DEL, transport->fd, NULL) < 0) {
        turn_fail(transport); // events would reach this loop, whose transport it is no longer
        return false;
    }
    transport->is_watched = false;
    timer_wheel_remove(&transport->timer);
    turn_remove_pending(transport);
    turn_forget_events(transport);
    if (mailbox_post(&to->mailbox, &mail, SIZE_MAX) == 0)
        return true;
    turn_fail(transport);
    return false;
}

// Shows the bytes to the owner and keeps the unused rest. false: the transport belongs to another loop now
// and must not be touched.
static bool show(struct transport *transport, const uint8_t *data, size_t size)
{
    const struct turn *turn = transport->turn;
    uint32_t work = turn->work, pending = turn->pending.count;
    struct transport_used used = turn->rules->on_bytes(transport, data, size);
    turn_weigh(transport, turn->work - work + PENDING_WEIGHT * (turn->pending.count - pending));
    if (transport->is_dead)
        return true;
    keep(transport, data + used.bytes, size - used.bytes, used.needed);
    if (transport->is_dead)
        return true;
    if (used.next == TRANSPORT_PAUSE) {
        transport->is_paused = true;
        transport_watch(transport);
    } else if (used.next == TRANSPORT_MOVE) {
        return !move(transport, used.to);
    }
    return true;
}

enum progress { READ_SOME, READ_NOTHING, READ_END, READ_MOVED };

// Reads once, into the transport's buffer or into `scratch`; adds the bytes read to `*sum`.
static enum progress read_once(struct transport *transport, uint8_t *scratch, int64_t *sum)
{
    struct input *in = transport->in;
    uint8_t *to = in ? in->bytes : scratch;
    size_t used = in ? in->end : 0; // it starts at 0, because nothing reads a transport that was deferred
    size_t room = (in ? in->capacity : TURN_SCRATCH_BYTES) - used;
    ssize_t got;
    do
        got = recv(transport->fd, to + used, room < TURN_READ_BYTES ? room : TURN_READ_BYTES, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS))
        return READ_NOTHING;
    if (got <= 0)
        return READ_END;
    counter_add(transport->turn->bytes_received, got);
    transport->turn->work += turn_copy_work((size_t)got);
    *sum += got;
    return show(transport, to, used + (size_t)got) ? READ_SOME : READ_MOVED;
}

void transport_read(struct transport *transport)
{
    int64_t sum = 0;
    if (read_once(transport, transport->turn->scratch, &sum) == READ_END)
        turn_fail(transport);
}

bool transport_resume(struct transport *transport)
{
    const struct input *in = transport->in;
    return !in || in->start == in->end || show(transport, in->bytes + in->start, in->end - in->start);
}

// Reads what has arrived by now, but not what a client that goes on sending adds meanwhile.
static enum progress read_arrived(struct transport *transport, uint8_t *scratch)
{
    int arrived;
    if (ioctl(transport->fd, FIONREAD, &arrived) < 0)
        arrived = INT_MAX;
    if (!transport_resume(transport))
        return READ_MOVED;
    enum progress progress = READ_SOME;
    int64_t sum = 0;
    while (progress == READ_SOME && !transport->is_dead && !transport->is_deferred && !transport->is_paused &&
           sum < arrived)
        progress = read_once(transport, scratch, &sum);
    return progress;
}

static void drain(struct transport *transport, uint8_t *scratch)
{
    transport->is_paused = false; // it has no output to wait for
    if (read_arrived(transport, scratch) != READ_MOVED && !transport->is_deferred)
        turn_fail(transport);
}

void transport_drain(struct transport *transport)
{
    drain(transport, transport->turn->scratch);
}

void transport_drain_within(struct transport *transport)
{
    struct turn *turn = transport->turn;
    uint8_t *scratch = malloc(TURN_SCRATCH_BYTES);
    bool was_urgent = turn->is_urgent;
    turn->is_urgent = true;
    turn_forget_deferred(transport);
    if (scratch)
        drain(transport, scratch);
    turn->is_urgent = was_urgent;
    free(scratch);
    turn_fail(transport);
}

bool transport_read_rest(struct transport *transport)
{
    if (transport->is_dead || transport->is_broken || transport->is_deferred)
        return false;
    if (transport->is_paused && transport->is_blocked)
        transport_break(transport); // drained when it is settled
    else if (!transport->is_paused) {
        enum progress progress = read_arrived(transport, transport->turn->scratch);
        if (progress == READ_MOVED)
            return false;
        if (progress == READ_END)
            turn_fail(transport);
    }
    return transport->is_paused && transport_can_send(transport);
}

bool transport_has_waiting_input(const struct transport *transport)
{
    uint8_t byte;
    if (transport->is_deferred)
        return true;
    return !transport->is_paused && recv(transport->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}
