// SPDX-License-Identifier: Apache-2.0
// The raw engine's handling of packets from the server.
#include "loadgen/engines/raw_state.h"

#include "loadgen/topic_mark.h"
#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- messages under way ------------------------------------------------------------------------------------

// Packet identifiers are assigned in order. So a table whose size is a power of two has no collision until
// more messages are under way than it has places; then it doubles.
static int grow_flights(struct raw_extra *extra)
{
    uint32_t capacity = extra->flight_capacity ? extra->flight_capacity * 2 : 8;
    if (capacity > 65536)
        return -EAGAIN; // all identifiers are in use [MQTT-2.3.1-2]
    struct raw_flight *flights = calloc(capacity, sizeof *flights);
    if (!flights)
        return -ENOMEM;
    for (uint32_t i = 0; i < extra->flight_capacity; i++)
        if (extra->flights[i].packet_id)
            flights[extra->flights[i].packet_id & (capacity - 1)] = extra->flights[i];
    free(extra->flights);
    extra->flights = flights;
    extra->flight_capacity = capacity;
    return 0;
}

int raw_flight_add(struct raw_client *client, const struct raw_flight *flight)
{
    struct raw_extra *extra = raw_extra_of(client);
    if (!extra)
        return -ENOMEM;
    while (extra->flight_capacity == 0 ||
           extra->flights[flight->packet_id & (extra->flight_capacity - 1)].packet_id) {
        int code = grow_flights(extra);
        if (code < 0)
            return code;
    }
    extra->flights[flight->packet_id & (extra->flight_capacity - 1)] = *flight;
    return 0;
}

// NULL: none under way has this identifier.
static struct raw_flight *flight_of(const struct raw_client *client, uint16_t packet_id)
{
    const struct raw_extra *extra = client->extra;
    if (!extra || extra->flight_capacity == 0)
        return NULL;
    struct raw_flight *place = &extra->flights[packet_id & (extra->flight_capacity - 1)];
    return place->packet_id == packet_id ? place : NULL;
}

bool raw_flight_take(struct raw_client *client, uint16_t packet_id, struct raw_flight *flight)
{
    struct raw_flight *place = flight_of(client, packet_id);
    if (!place)
        return false;
    *flight = *place;
    place->packet_id = 0;
    return true;
}

// --- QoS 2, received ---------------------------------------------------------------------------------------

static bool received_before(const struct raw_extra *extra, uint16_t packet_id, uint32_t *place)
{
    for (*place = 0; extra && *place < extra->received_count; ++*place)
        if (extra->received[*place] == packet_id)
            return true;
    return false;
}

static int remember_received(struct raw_client *client, uint16_t packet_id)
{
    struct raw_extra *extra = raw_extra_of(client);
    if (!extra)
        return -ENOMEM;
    if (extra->received_count == extra->received_capacity) {
        uint32_t capacity = extra->received_capacity ? extra->received_capacity * 2 : 8;
        uint16_t *received = realloc(extra->received, capacity * sizeof *received);
        if (!received)
            return -ENOMEM;
        extra->received = received;
        extra->received_capacity = capacity;
    }
    extra->received[extra->received_count++] = packet_id;
    return 0;
}

static void forget_received(struct raw_client *client, uint16_t packet_id)
{
    uint32_t place;
    struct raw_extra *extra = client->extra;
    if (received_before(extra, packet_id, &place))
        extra->received[place] = extra->received[--extra->received_count];
}

// --- packets -----------------------------------------------------------------------------------------------

static bool lose(struct engine_run *run, struct raw_client *client, enum tally_reason reason)
{
    raw_lose(run, client, reason);
    return false;
}

// For use after an event: the listener may have closed the client.
static bool still_open(const struct raw_client *client)
{
    return client->state == RAW_OPEN;
}

static bool on_connack(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame)
{
    enum mqtt_connack_code code;
    bool present;
    if (client->state != RAW_CONNACK || mqtt_connack_decode(frame, &code, &present) != MQTT_OK)
        return lose(run, client, REASON_PROTOCOL);
    if (code != MQTT_ACCEPTED)
        return lose(run, client, tally_reason_of_connack((int)code));
    raw_leave_window(run, client);
    client->state = RAW_OPEN;
    raw_keep_alive(run, client);
    raw_tell(run, client,
             (struct engine_event){.kind = ENGINE_CONNECTED,
                                   .started_ns = client->started_ns,
                                   .ports_passed = client->ports_passed,
                                   .session_present = present});
    return still_open(client);
}

static bool answer(struct engine_run *run, struct raw_client *client, enum mqtt_packet_type type,
                   uint16_t packet_id)
{
    uint8_t packet[4];
    int bytes = mqtt_ack_encode(packet, sizeof packet, type, packet_id);
    if (bytes > 0)
        (void)!raw_send(run, client, packet, (size_t)bytes); // the next read reports a failure
    return true;
}

static bool on_publish(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame)
{
    struct mqtt_publish publish;
    if (mqtt_publish_decode(frame, &publish) != MQTT_OK)
        return lose(run, client, REASON_PROTOCOL);
    uint32_t place;
    // Before PUBREL its identifier names the same message [MQTT-4.3.3-2].
    bool again = publish.qos == 2 && received_before(client->extra, publish.packet_id, &place);
    if (publish.qos == 2 && !again && remember_received(client, publish.packet_id) < 0)
        return lose(run, client, REASON_NO_MEMORY);
    struct engine_event event = {.kind = ENGINE_MESSAGE,
                                 .topic = topic_mark(publish.topic.data, publish.topic.bytes),
                                 .qos = publish.qos,
                                 .again = again,
                                 .retained = publish.retain};
    event.content =
        payload_form_read(run->config.payloads, publish.payload.data, publish.payload.bytes, &event.payload);
    raw_tell(run, client, event);
    if (!still_open(client))
        return false;
    if (publish.qos > 0)
        answer(run, client, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish.packet_id);
    return true;
}

static bool on_ack(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    struct raw_flight flight;
    if (mqtt_ack_decode(frame, &packet_id) != MQTT_OK)
        return lose(run, client, REASON_PROTOCOL);
    if (frame->type == MQTT_PUBREL) {
        forget_received(client, packet_id);
        return answer(run, client, MQTT_PUBCOMP, packet_id);
    }
    // Each QoS has its own answers, in one order [MQTT-4.3.2-2, MQTT-4.3.3-2].
    struct raw_flight *awaiting = flight_of(client, packet_id);
    if (!awaiting || awaiting->awaits != frame->type)
        return lose(run, client, REASON_PROTOCOL);
    if (frame->type == MQTT_PUBREC) {
        awaiting->awaits = MQTT_PUBCOMP;
        return answer(run, client, MQTT_PUBREL, packet_id);
    }
    (void)raw_flight_take(client, packet_id, &flight);
    raw_tell(run, client,
             (struct engine_event){
                 .kind = ENGINE_ACKED, .intended_ns = flight.intended_ns, .started_ns = flight.sent_ns});
    return still_open(client);
}

// Is this the answer to a SUBSCRIBE or UNSUBSCRIBE that has none yet [MQTT-3.8.4-2, MQTT-3.10.4-4]?
static bool take_asked(struct raw_client *client, enum mqtt_packet_type type, uint16_t packet_id)
{
    bool unsubscribes = client->flags & RAW_ASKS_UNSUB;
    if (client->asked_id && packet_id == client->asked_id && unsubscribes == (type == MQTT_UNSUBACK)) {
        client->asked_id = 0;
        return true;
    }
    struct raw_flight unused, *awaiting = flight_of(client, packet_id);
    return awaiting && awaiting->awaits == type && raw_flight_take(client, packet_id, &unused);
}

static bool on_suback(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame)
{
    struct mqtt_suback suback;
    if (mqtt_suback_decode(frame, &suback) != MQTT_OK || suback.count != 1 ||
        !take_asked(client, MQTT_SUBACK, suback.packet_id))
        return lose(run, client, REASON_PROTOCOL);
    bool refused = suback.codes[0] == MQTT_SUBACK_FAILURE;
    raw_tell(run, client,
             (struct engine_event){.kind = refused ? ENGINE_REFUSED : ENGINE_SUBSCRIBED,
                                   .qos = refused ? 0 : suback.codes[0],
                                   .reason = refused ? REASON_SUBSCRIBE_REFUSED : REASON_NONE});
    return still_open(client);
}

static bool on_unsuback(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    if (mqtt_ack_decode(frame, &packet_id) != MQTT_OK || !take_asked(client, MQTT_UNSUBACK, packet_id))
        return lose(run, client, REASON_PROTOCOL);
    raw_tell(run, client, (struct engine_event){.kind = ENGINE_UNSUBSCRIBED});
    return still_open(client);
}

static bool on_pingresp(struct engine_run *run, struct raw_client *client)
{
    bool asked = client->flags & RAW_PING_ASKED;
    if (client->pings == 0)
        return lose(run, client, REASON_PROTOCOL);
    if (client->pings < RAW_PINGS_MAX)
        client->pings--;
    client->flags &= (uint8_t) ~(RAW_PING_PENDING | RAW_PING_ASKED);
    if (asked)
        raw_tell(run, client, (struct engine_event){.kind = ENGINE_PONG});
    return still_open(client);
}

bool raw_packet(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame)
{
    if (frame->type == MQTT_CONNACK)
        return on_connack(run, client, frame);
    if (client->state != RAW_OPEN) // nothing comes before CONNACK [MQTT-3.2.0-1]
        return lose(run, client, REASON_PROTOCOL);
    switch (frame->type) {
    case MQTT_PUBLISH:
        return on_publish(run, client, frame);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return on_ack(run, client, frame);
    case MQTT_SUBACK:
        return on_suback(run, client, frame);
    case MQTT_UNSUBACK:
        return on_unsuback(run, client, frame);
    case MQTT_PINGRESP:
        return on_pingresp(run, client);
    default:
        return lose(run, client, REASON_PROTOCOL);
    }
}
