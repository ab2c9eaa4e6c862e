// SPDX-License-Identifier: Apache-2.0
// The read path of a connection.
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/handlers.h"
#include "broker/net/loop.h"
#include "wire/mqtt_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// A packet is collected as it comes, so that announcing one costs nothing.
enum { GROWN_BYTES_MIN = 16 << 10 };

// The largest CONNECT there can be (section 3.1): header, ten bytes, and five fields of two bytes and 65 535.
enum { CONNECT_BYTES_MAX = 5 + 10 + 5 * (2 + MQTT_TEXT_MAX) };

struct input {
    uint32_t used, capacity;
    bool is_pooled; // an object of the pool `buffers`; else of the heap, for a packet that does not fit one
    uint8_t bytes[];
};

static struct input *pooled_input(struct broker *broker)
{
    struct input *in = block_get(&broker->stores.input, broker->stores.input.object_bytes);
    if (in)
        *in =
            (struct input){.capacity = (uint32_t)(broker->shape.read_bytes - sizeof *in), .is_pooled = true};
    return in;
}

static struct input *heap_input(struct broker *broker, size_t capacity)
{
    size_t bytes = sizeof(struct input) + capacity;
    if (!account_take(&broker->account, ACCOUNT_INPUT, account_heap_bytes(bytes)))
        return NULL;
    struct input *in = malloc(bytes);
    if (!in)
        account_give(&broker->account, ACCOUNT_INPUT, account_heap_bytes(bytes));
    else
        *in = (struct input){.capacity = (uint32_t)capacity};
    return in;
}

bool input_prepare(struct connection *connection)
{
    struct broker *broker = connection->loop->broker;
    connection->in = pooled_input(broker);
    return connection->in != NULL;
}

void input_free(struct connection *connection)
{
    struct broker *broker = connection->loop->broker;
    struct input *in = connection->in;
    if (!in)
        return;
    if (in->is_pooled) {
        block_put(&broker->stores.input, in, broker->stores.input.object_bytes);
    } else {
        account_give(&broker->account, ACCOUNT_INPUT, account_heap_bytes(sizeof *in + in->capacity));
        free(in);
    }
    connection->in = NULL;
}

// Nothing is kept: a lazy connection gives its buffer back, an eager one goes back to its usual one.
static void keep_nothing(struct connection *connection)
{
    struct input *in = connection->in;
    struct broker *broker = connection->loop->broker;
    if (in && in->is_pooled && broker->shape.eager) {
        in->used = 0;
        return;
    }
    input_free(connection);
    if (broker->shape.eager)
        connection->in = pooled_input(broker); // without one the loop's scratch serves
}

// Room for a packet of `needed` bytes, of which `rest` are there: a buffer of the pool, or twice what there
// is.
static struct input *larger_input(struct broker *broker, size_t rest, size_t needed)
{
    if (rest < broker->shape.read_bytes - sizeof(struct input))
        return pooled_input(broker);
    size_t capacity = rest * 2 > GROWN_BYTES_MIN ? rest * 2 : GROWN_BYTES_MIN;
    return heap_input(broker, capacity < needed ? capacity : needed > rest ? needed : rest);
}

// Keeps the `rest` bytes at `from`, with room for more when the packet there needs it.
static void keep(struct connection *connection, const uint8_t *from, size_t rest, size_t needed)
{
    struct input *in = connection->in;
    if (rest == 0) {
        keep_nothing(connection);
        return;
    }
    bool is_full = in && rest >= in->capacity && needed > rest;
    if (in && rest <= in->capacity && !is_full) {
        if (from != in->bytes)
            memmove(in->bytes, from, rest);
        in->used = (uint32_t)rest;
        return;
    }
    struct input *larger = larger_input(connection->loop->broker, rest, needed);
    if (!larger) {
        broker_count(&connection->loop->counters.closed_no_memory, 1);
        connection_fail(connection);
        return;
    }
    memcpy(larger->bytes, from, rest);
    larger->used = (uint32_t)rest;
    input_free(connection);
    connection->in = larger;
}

// [MQTT-3.1.0-1]: the first packet must be a CONNECT. Seen before it has come whole.
static bool is_welcome(const struct connection *connection, const struct mqtt_frame *frame)
{
    return mqtt_client_sends(frame->type) &&
           (frame->type == MQTT_CONNECT) == (connection->state == CONNECTION_NEW);
}

static size_t packet_bytes_max(const struct connection *connection)
{
    size_t most = (size_t)connection->loop->broker->config->max_packet_bytes;
    return connection->state == CONNECTION_NEW && most > CONNECT_BYTES_MAX ? CONNECT_BYTES_MAX : most;
}

// Handles each whole packet among `size` bytes, and keeps what is left. false: the connection is another
// loop's now, and not to be touched.
static bool process(struct connection *connection, const uint8_t *data, size_t size)
{
    struct loop *loop = connection->loop;
    size_t done = 0, needed = 0;
    enum handled handled = HANDLED;
    bool waits = false;
    while (done < size && handled == HANDLED && connection->state != CONNECTION_DEAD && !waits) {
        struct mqtt_frame frame;
        enum mqtt_error error =
            mqtt_frame_decode(data + done, size - done, packet_bytes_max(connection), &frame, &needed);
        bool is_known = error == MQTT_OK || (error == MQTT_INCOMPLETE && frame.type != 0);
        if (error == MQTT_TOO_LARGE) {
            broker_count(&loop->counters.closed_packet_size, 1);
            output_flush(connection);
            connection_fail(connection);
            return true;
        }
        if ((error != MQTT_OK && error != MQTT_INCOMPLETE) || (is_known && !is_welcome(connection, &frame))) {
            connection_fail_protocol(connection, error == MQTT_OK || error == MQTT_INCOMPLETE
                                                     ? "a packet that a client may not send at this point"
                                                     : mqtt_error_text(error));
            return true;
        }
        if (error == MQTT_INCOMPLETE)
            break;
        handled = handle_packet(connection, &frame);
        if (handled == HANDLED) {
            broker_count(&loop->counters.packets_received, 1);
            connection->timer.owner_word = loop->tick; // [MQTT-3.1.2-24]: a packet counts, bytes do not
            done += needed;
            needed = 0;
            loop->work++;
            waits = done < size && loop_is_busy(loop) && loop_defer(loop, connection);
        }
    }
    if (connection->state == CONNECTION_DEAD)
        return true;
    keep(connection, data + done, size - done, needed);
    if (connection->state == CONNECTION_DEAD)
        return true;
    if (handled == HANDLE_LATER) {
        connection->is_paused = true;
        connection_watch(connection);
    } else if (handled == HANDLE_ELSEWHERE) {
        return !loop_hand_over(loop, connection, loop->hand_over_to);
    }
    return true;
}

enum progress { READ_SOME, READ_NOTHING, READ_END, READ_MOVED };

// Reads once, into the connection's buffer or into `scratch`, and processes it.
static enum progress read_once(struct connection *connection, uint8_t *scratch)
{
    struct loop *loop = connection->loop;
    struct input *in = connection->in;
    uint8_t *to = in ? in->bytes : scratch;
    size_t used = in ? in->used : 0;
    size_t capacity = in ? in->capacity : LOOP_SCRATCH_BYTES;
    ssize_t got = recv(connection->fd, to + used, capacity - used, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS))
        return READ_NOTHING;
    if (got <= 0)
        return READ_END;
    broker_count(&loop->counters.bytes_received, got);
    return process(connection, to, used + (size_t)got) ? READ_SOME : READ_MOVED;
}

void input_read(struct connection *connection)
{
    if (read_once(connection, connection->loop->scratch) == READ_END)
        connection_fail(connection);
}

static bool resume(struct connection *connection)
{
    if (connection->in && connection->in->used > 0)
        return process(connection, connection->in->bytes, connection->in->used);
    return true;
}

void input_resume(struct connection *connection)
{
    bool is_ours = resume(connection);
    (void)is_ours; // nothing is touched in either case
}

static void drain(struct connection *connection, uint8_t *scratch)
{
    if (!resume(connection))
        return;
    enum progress progress = READ_SOME;
    while (progress == READ_SOME && connection->state != CONNECTION_DEAD && !connection->is_deferred)
        progress = read_once(connection, scratch);
    if (progress != READ_MOVED && !connection->is_deferred)
        connection_fail(connection);
}

void input_drain(struct connection *connection)
{
    drain(connection, connection->loop->scratch);
}

void input_drain_within(struct connection *connection)
{
    struct loop *loop = connection->loop;
    uint8_t *scratch = malloc(LOOP_SCRATCH_BYTES);
    bool was_urgent = loop->is_urgent;
    loop->is_urgent = true;
    loop_forget_deferred(loop, connection);
    if (scratch)
        drain(connection, scratch);
    loop->is_urgent = was_urgent;
    free(scratch);
    connection_fail(connection);
}
