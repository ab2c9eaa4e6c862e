// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/connection.h"

#include <errno.h>
#include <string.h>

// The "reasonable amount of time" for the CONNECT (section 3.1.4). It is long, because a million clients may
// connect at once.
enum { CONNECT_PATIENCE_S = 30 };

enum { TAKE_OVER_S = 5 };

// When places run out, a connection may have been silent for this long (the first tick may be partial), unless so many
// are new that they come faster than that.
enum { SILENCE_TICKS = 2, NEWCOMERS_MANY = 512, SILENT_LOOKED_AT = 32, LOOK_WORK = 4 };

// A PUBLISH leaves this much of the buffer free. So the answer to a client's packet still fits after its own
// message was delivered back to it.
enum { ANSWER_ROOM = 64 };

void connection_start_connect_timer(struct connection *connection)
{
    struct transport *transport = &connection->transport;
    struct worker *worker = connection_worker(connection);
    transport->timer.owner_word = newcomers_add(&worker->newcomers, &worker->server->account, connection);
    transport_set_timer(transport, transport->turn->tick + CONNECT_PATIENCE_S * TIMER_TICKS_PER_S);
}

void connection_is_no_newcomer(struct connection *connection)
{
    struct worker *worker = connection_worker(connection);
    newcomers_remove(&worker->newcomers, connection->transport.timer.owner_word, connection);
}

static uint32_t silent_ticks(const struct transport *transport)
{
    uint32_t left = transport->timer.deadline_tick - transport->turn->tick;
    return CONNECT_PATIENCE_S * TIMER_TICKS_PER_S - left;
}

int connection_end_silent(struct worker *worker, int most)
{
    struct newcomers *newcomers = &worker->newcomers;
    int ended = 0;
    uint32_t next, place = newcomers_oldest(newcomers);
    for (int i = 0; i < SILENT_LOOKED_AT + most && place != 0 && ended < most; i++, place = next) {
        struct connection *connection = newcomers->places[place].connection;
        struct transport *transport = &connection->transport;
        next = newcomers_next(newcomers, place);
        if (newcomers->count < NEWCOMERS_MANY && silent_ticks(transport) < SILENCE_TICKS)
            break; // those behind it are younger
        worker->turn->work += LOOK_WORK;
        // A CONNECT that waits in the socket counts as come.
        if (transport->is_dead || transport_has_waiting_input(transport))
            continue;
        newcomers_remove(newcomers, place, connection);
        turn_fail(transport);
        broker_count(&worker->counters.closed_silent, 1);
        ended++;
    }
    return ended;
}

static void give_back(struct server *server, struct connection *connection)
{
    block_put(&server->stores.arenas, connection->arena, server->stores.arenas.object_bytes);
    block_put(&server->stores.connections, connection, server->stores.connections.object_bytes);
}

static bool prepare_arena(struct server *server, struct connection *connection)
{
    if (!server->transport_rules.is_eager)
        return true;
    connection->arena = block_get(&server->stores.arenas, server->stores.arenas.object_bytes);
    return connection->arena != NULL;
}

int connection_open(struct worker *worker, int fd)
{
    struct server *server = worker->server;
    int64_t refused_before = account_refused(&server->account);
    struct connection *connection =
        block_get(&server->stores.connections, server->stores.connections.object_bytes);
    if (!connection)
        goto fail;
    memset(connection, 0, sizeof *connection);
    if (!prepare_arena(server, connection) || transport_open(&connection->transport, worker->turn, fd) < 0) {
        give_back(server, connection);
        goto fail;
    }
    connection_start_connect_timer(connection);
    return 0;
fail: // the account's count tells who refused; another thread may change it, but statistics need no more
    return account_refused(&server->account) > refused_before ? -ENOMEM : -ENOBUFS;
}

void connection_free(struct connection *connection)
{
    connection_is_no_newcomer(connection);
    address_counts_give(connection_worker(connection)->server->addresses, connection->transport.fd);
    transport_close(&connection->transport);
    give_back(connection_worker(connection)->server, connection);
}

void connection_take_over(struct connection *connection)
{
    struct transport *transport = &connection->transport;
    transport->source |= CONNECTION_TAKEN_OVER;
    transport_set_timer(transport, transport->turn->tick + TAKE_OVER_S * TIMER_TICKS_PER_S);
}

static uint32_t silence_limit_ticks(const struct transport *transport)
{
    // [MQTT-3.1.2-24]: one and a half times. Plus one tick, because the first tick may be partial.
    return (uint32_t)transport->owner_word * 3 * TIMER_TICKS_PER_S / 2 + 1;
}

void connection_start_keep_alive(struct connection *connection, uint16_t keep_alive_s)
{
    struct transport *transport = &connection->transport;
    transport->owner_word = keep_alive_s;
    transport_set_timer(transport,
                        keep_alive_s ? transport->turn->tick + silence_limit_ticks(transport) : TIMER_NEVER);
}

// The timer is not reset by each packet. When it is due, it compares with the last packet and waits on if
// needed.
void connection_on_timer(struct transport *transport)
{
    const struct connection *connection = connection_of(transport);
    if (transport->source & CONNECTION_TAKEN_OVER) { // it had its time
        turn_fail(transport);
        return;
    }
    bool is_open = connection_is_open(connection);
    uint32_t tick = transport->turn->tick;
    uint32_t deadline = is_open ? transport->timer.owner_word + silence_limit_ticks(transport) : 0;
    // After a long pause of this loop, packets of the client may wait unread.
    if (deadline <= tick && !transport->is_dead && transport_has_waiting_input(transport))
        deadline = tick + TIMER_TICKS_PER_S;
    if (deadline > tick) {
        transport_set_timer(transport, deadline);
        return;
    }
    if (is_open)
        broker_count(&connection_worker(connection)->counters.keep_alive_expired, 1);
    turn_fail(transport);
}

static uint64_t form_word(const struct publish_form *form)
{
    return form->qos | (unsigned)form->dup << 2 | (unsigned)form->retain << 3 |
           (unsigned)form->is_packet << 4 | (uint64_t)form->packet_id << 16;
}

static struct mqtt_publish publish_of(const struct message *message, const struct publish_form *form)
{
    return (struct mqtt_publish){.dup = form->dup,
                                 .retain = form->retain,
                                 .qos = form->qos,
                                 .packet_id = form->packet_id,
                                 .topic = message_topic(message),
                                 .payload = message_payload(message)};
}

void connection_list_parts(const void *source, uint64_t word, struct transport_parts *parts)
{
    const struct message *message = source;
    struct publish_form form = {word & 3, word >> 2 & 1, word >> 3 & 1, word >> 4 & 1,
                                (uint16_t)(word >> 16)};
    struct mqtt_bytes lists[MQTT_PUBLISH_PARTS] = {message_payload(message)};
    struct mqtt_publish publish = publish_of(message, &form);
    _Static_assert(sizeof parts->storage >= MQTT_PUBLISH_STORAGE, "the heads of a PUBLISH fit");
    _Static_assert((int)TURN_PARTS >= (int)MQTT_PUBLISH_PARTS, "the parts of a PUBLISH fit");
    if (!form.is_packet && mqtt_publish_encode_parts(lists, parts->storage, &publish) < 0)
        return; // cannot happen: every message can be encoded
    for (int i = 0; i < MQTT_PUBLISH_PARTS; i++)
        parts->parts[i] = (struct iovec){(void *)(uintptr_t)lists[i].data, lists[i].bytes};
}

bool connection_publish(struct connection *connection, struct message *message,
                        const struct publish_form *form)
{
    struct transport *transport = &connection->transport;
    if (!transport_can_send(transport))
        return false;
    size_t bytes = mqtt_publish_header_bytes(message->topic_bytes, message->payload_bytes, form->qos) +
                   message->payload_bytes;
    uint8_t *to = transport_sends_alone(transport) ? NULL : transport_reserve(transport, bytes, ANSWER_ROOM);
    if (to) {
        struct mqtt_publish publish = publish_of(message, form);
        int written = mqtt_publish_encode(to, bytes, &publish);
        if (written < 0)
            return false;
        transport_commit(transport, (size_t)written);
    } else if (!transport_send_source(transport, message, form_word(form), false)) {
        return false;
    }
    broker_count(&connection_worker(connection)->counters.messages_sent, 1);
    return true;
}

void connection_acknowledge(struct connection *connection, enum mqtt_packet_type type, uint16_t packet_id)
{
    uint8_t packet[CONNECTION_ACK_BYTES];
    int bytes = mqtt_ack_encode(packet, sizeof packet, type, packet_id);
    if (bytes > 0)
        transport_append(&connection->transport, packet, (size_t)bytes);
}

void connection_send_packet(struct connection *connection, struct message *message)
{
    struct publish_form form = {.is_packet = true};
    bool is_taken = transport_send_source(&connection->transport, message, form_word(&form), true);
    (void)is_taken; // false: the transport is broken
}
