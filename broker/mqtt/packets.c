// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/packets.h"

#include "broker/mqtt/connection_end.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable_gate.h"
#include "broker/mqtt/handlers.h"

// The largest possible CONNECT (section 3.1): header, ten bytes, and five fields of two bytes and 65 535.
enum { CONNECT_BYTES_MAX = 5 + 10 + 5 * (2 + MQTT_TEXT_MAX) };

enum { PACKET_WORK = 4, MESSAGE_WORK = 1 };

// A PUBLISH is copied, and an acknowledgement is no more work. The texts of other packets are checked, and become sessions
// and subscriptions. A list of many filters is handled in portions, which count for themselves.
static uint32_t work_of(const struct mqtt_frame *frame, size_t bytes)
{
    if (frame->type >= MQTT_PUBLISH && frame->type <= MQTT_PUBCOMP)
        return MESSAGE_WORK + (uint32_t)(bytes >> 8);
    return PACKET_WORK +
           (uint32_t)(bytes <= HANDLERS_AT_ONCE_BYTES || frame->type == MQTT_CONNECT ? bytes >> 5 : 0);
}

static bool is_new(const struct connection *connection)
{
    return !connection_has_session(connection) && !connection->transport.is_dead;
}

// [MQTT-3.1.0-1]: the first packet, and only it, must be a CONNECT. Checked before the packet is complete.
static bool is_welcome(const struct connection *connection, const struct mqtt_frame *frame)
{
    return mqtt_client_sends(frame->type) && (frame->type == MQTT_CONNECT) == is_new(connection);
}

static size_t packet_bytes_max(const struct connection *connection)
{
    size_t most = connection_worker(connection)->server->max_packet_bytes;
    return is_new(connection) && most > CONNECT_BYTES_MAX ? CONNECT_BYTES_MAX : most;
}

static struct handled handle_pingreq(struct connection *connection)
{
    uint8_t packet[2];
    if (!transport_has_room(&connection->transport, sizeof packet))
        return handled(HANDLE_PAUSE);
    int bytes = mqtt_empty_encode(packet, sizeof packet, MQTT_PINGRESP); // [MQTT-3.12.4-1]
    transport_append(&connection->transport, packet, (size_t)bytes);
    return handled(HANDLED);
}

// [MQTT-3.14.4-3]: discards the will, then ends the connection.
static struct handled handle_disconnect(struct connection *connection)
{
    struct message *will = connection->session->will;
    if (will)
        durable_will_end(connection_worker(connection), will);
    message_unref(will);
    connection->session->will = NULL;
    return handled_close(NULL);
}

static struct handled handle(struct connection *connection, const struct mqtt_frame *frame)
{
    switch (frame->type) {
    case MQTT_CONNECT:
        return handle_connect(connection, frame);
    case MQTT_PUBLISH:
        return handle_publish(connection, frame);
    case MQTT_PUBACK:
        return handle_puback(connection, frame);
    case MQTT_PUBREC:
        return handle_pubrec(connection, frame);
    case MQTT_PUBREL:
        return handle_pubrel(connection, frame);
    case MQTT_PUBCOMP:
        return handle_pubcomp(connection, frame);
    case MQTT_SUBSCRIBE:
        return handle_subscribe(connection, frame);
    case MQTT_UNSUBSCRIBE:
        return handle_unsubscribe(connection, frame);
    case MQTT_PINGREQ:
        return handle_pingreq(connection);
    case MQTT_DISCONNECT:
        return handle_disconnect(connection);
    default:
        return handled_close(mqtt_error_text(MQTT_BAD_SENDER));
    }
}

// Handles the packet at the start of `size` bytes if it is whole and allowed now. `needed`: its length.
static struct handled handle_next(struct connection *connection, const uint8_t *data, size_t size,
                                  size_t *needed, bool *is_whole)
{
    struct mqtt_frame frame;
    enum mqtt_error error = mqtt_frame_decode(data, size, packet_bytes_max(connection), &frame, needed);
    struct turn *turn = connection->transport.turn;
    struct worker *worker = turn->owner;
    *is_whole = error == MQTT_OK;
    // With a state file nothing is sent while a packet is handled.
    turn->is_last = turn->is_single && error == MQTT_OK && *needed == size && !worker->durable;
    if (error == MQTT_OK && is_welcome(connection, &frame)) {
        turn->work += work_of(&frame, *needed);
        durable_begin(worker, &connection->transport);
        struct handled after = handle(connection, &frame);
        durable_end(worker);
        return after;
    }
    if (error == MQTT_INCOMPLETE && (frame.type == 0 || is_welcome(connection, &frame)))
        return handled(HANDLED);
    if (error == MQTT_OK || error == MQTT_INCOMPLETE)
        return handled_close("a packet that a client may not send at this point");
    if (error != MQTT_TOO_LARGE)
        return handled_close(mqtt_error_text(error));
    broker_count(&worker->counters.closed_packet_size, 1);
    return handled_close(NULL);
}

static void close_after_answer(struct connection *connection, const char *reason)
{
    struct worker *worker = connection_worker(connection);
    if (reason) {
        // Relaxed: the text never changes.
        atomic_store_explicit(&worker->server->last_reason, reason, memory_order_relaxed);
        broker_count(&worker->counters.protocol_errors, 1);
    }
    transport_flush(&connection->transport); // nothing is sent once it is dead
    turn_fail(&connection->transport);
}

// Ends the older connection of a session that a new connection takes over [MQTT-3.1.4-2]. Packets that it sent before
// count, also a DISCONNECT. They are handled within the budget of this turn and later ones. Until then the
// CONNECT of the new connection waits. false: without memory for that everything was done now.
static bool waits_for(struct connection *connection, struct connection *old)
{
    struct transport *other = &old->transport;
    if (transport_can_send(other)) {
        broker_count(&connection_worker(old)->counters.sessions_taken_over, 1);
        transport_flush(other);
        transport_break(other);
        connection_take_over(old);
    }
    if (turn_defer(&connection->transport))
        return true;
    transport_drain_within(other);
    connection_detach(old);
    return false;
}

// Handles each whole packet among `size` bytes.
static struct transport_used on_bytes(struct transport *transport, const uint8_t *data, size_t size)
{
    struct connection *connection = connection_of(transport);
    struct turn *turn = transport->turn;
    struct worker *worker = turn->owner;
    struct transport_used used = {0};
    while (used.bytes < size && !transport->is_dead) {
        bool is_whole;
        struct handled after =
            handle_next(connection, data + used.bytes, size - used.bytes, &used.needed, &is_whole);
        switch (after.next) {
        case HANDLED:
            if (!is_whole)
                return used;
            broker_count(&worker->counters.packets_received, 1);
            transport->timer.owner_word = turn->tick; // [MQTT-3.1.2-24]: whole packets count, bytes do not
            used.bytes += used.needed;
            used.needed = 0;
            if (used.bytes < size && turn_is_busy(turn) && turn_defer(transport))
                return used;
            break;
        case HANDLE_LATER:
            return used;
        case HANDLE_PAUSE:
            used.next = TRANSPORT_PAUSE;
            return used;
        case HANDLE_HAND_OVER:
            connection_is_no_newcomer(connection);
            used.next = TRANSPORT_MOVE;
            used.to = after.to->turn;
            return used;
        case HANDLE_TAKE_OVER:
            if (waits_for(connection, after.other))
                return used;
            break;
        case HANDLE_CLOSE:
            broker_count(&worker->counters.packets_received, is_whole);
            close_after_answer(connection, after.reason);
            return used;
        }
    }
    return used;
}

static void on_no_memory(struct transport *transport)
{
    broker_count(&connection_worker(connection_of(transport))->counters.closed_no_memory, 1);
}

static void on_moved(struct transport *transport)
{
    struct connection *connection = connection_of(transport);
    broker_count(&connection_worker(connection)->counters.handed_over, 1);
    connection_start_connect_timer(connection);
}

static void on_resume(struct transport *transport)
{
    if (connection_is_open(connection_of(transport)))
        turn_add_pending(transport); // on_settle sends the messages that wait in its session
}

// Sends output that waits in the connection, then messages that wait in the session. Then resumes reading.
static void on_settle(struct transport *transport)
{
    struct connection *connection = connection_of(transport);
    struct worker *worker = connection_worker(connection);
    // Each iteration sends a whole buffer and shortens the queue. The loop ends when the socket takes no
    // more, the window is full, or the queue is empty.
    while (transport_flush(transport) && connection_has_session(connection) &&
           delivery_has_more(connection->session)) {
        delivery_pump(worker, connection->session);
        if (transport_is_empty(transport))
            break;
        if (worker->durable) { // one commit serves all transports that were settled by then
            turn_add_pending(transport);
            return;
        }
    }
    transport_unpause(transport);
}

static void *hold_message(void *message)
{
    return message_ref(message);
}

static void release_message(void *message)
{
    message_unref(message);
}

void packets_set_rules(struct transport_rules *rules)
{
    rules->on_bytes = on_bytes;
    rules->on_settle = on_settle;
    rules->on_resume = on_resume;
    rules->on_timer = connection_on_timer;
    rules->on_moved = on_moved;
    rules->on_close = connection_on_close;
    rules->on_no_memory = on_no_memory;
    rules->list_parts = connection_list_parts;
    rules->hold_source = hold_message;
    rules->release_source = release_message;
}
