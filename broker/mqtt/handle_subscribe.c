// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/handlers.h"
#include "broker/net/loop.h"
#include "broker/mqtt/replay.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/session.h"
#include "broker/mqtt/topics.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>

// So many return codes are gathered on the stack and appended to what waits, as any shape's write buffer
// holds them. The answer to more filters is a packet of its own.
enum { FILTERS_FEW = 64, SUBACK_HEAD_BYTES = MQTT_HEADER_MAX + 2 };

// The answer to a SUBSCRIBE while it is made.
struct answer {
    uint8_t *codes; // in `few`, or in the packet
    size_t count;
    struct message *packet; // NULL: `few` serves
    uint8_t few[FILTERS_FEW];
};

static bool decode(struct connection *connection, const struct mqtt_frame *frame, struct mqtt_subscribe *list)
{
    enum mqtt_error error = mqtt_subscribe_decode(frame, list);
    if (error != MQTT_OK)
        connection_fail_protocol(connection, mqtt_error_text(error));
    return error == MQTT_OK;
}

// Room for the answer, before anything is done. If not, `handled` is what to return.
static bool prepare(struct connection *connection, const struct mqtt_subscribe *list, struct answer *answer,
                    enum handled *handled)
{
    struct loop *loop = connection->loop;
    *handled = HANDLE_LATER;
    answer->codes = answer->few;
    answer->count = 0;
    answer->packet = NULL;
    if (list->count <= FILTERS_FEW)
        return output_has_room(connection, SUBACK_HEAD_BYTES + list->count);
    if (!connection->is_broken && !output_is_empty(connection) && !output_flush(connection))
        return false;
    size_t bytes = mqtt_packet_bytes(2 + (size_t)list->count);
    answer->packet = message_new_packet(&loop->broker->stores.messages, bytes);
    if (!answer->packet) {
        broker_count(&loop->counters.closed_no_memory, 1);
        connection_fail(connection);
        *handled = HANDLED;
        return false;
    }
    uint8_t *data = (uint8_t *)answer->packet->data;
    int head = mqtt_header_encode(data, bytes, MQTT_SUBACK, 0, 2 + (size_t)list->count);
    data[head] = (uint8_t)(list->packet_id >> 8);
    data[head + 1] = (uint8_t)list->packet_id;
    answer->codes = data + head + 2;
    return true;
}

static void acknowledge(struct connection *connection, uint16_t packet_id, const struct answer *answer)
{
    if (answer->packet) {
        output_packet(connection, answer->packet);
        return;
    }
    uint8_t packet[SUBACK_HEAD_BYTES + FILTERS_FEW];
    struct mqtt_suback suback = {packet_id, answer->codes, answer->count};
    int bytes = mqtt_suback_encode(packet, sizeof packet, &suback);
    if (bytes > 0)
        output_append(connection, packet, (size_t)bytes);
}

static int subscribe(struct connection *connection, const struct mqtt_subscription *one)
{
    struct broker *broker = connection->loop->broker;
    if (!topic_levels_fit(broker, one->filter))
        return -EDQUOT;
    return topics_subscribe(broker->topics, &connection->session->subscriber, one->filter, one->qos);
}

static void owe_retained(struct connection *connection, struct mqtt_subscribe *list,
                         const struct answer *answer)
{
    struct loop *loop = connection->loop;
    struct broker *broker = loop->broker;
    struct session *session = connection->session;
    struct session_flow *flow = session_flow_need(session, &broker->stores.arenas, &broker->flow_rules);
    struct mqtt_subscription one;
    for (size_t i = 0; mqtt_subscribe_next(list, &one); i++)
        if (answer->codes[i] != MQTT_SUBACK_FAILURE && (!flow || replay_add(flow, one.filter, one.qos) < 0))
            loop_count_dropped(loop, -ENOMEM);
}

enum handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct loop *loop = connection->loop;
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    struct answer answer;
    enum handled handled;
    if (!decode(connection, frame, &list))
        return HANDLED;
    if (!prepare(connection, &list, &answer, &handled))
        return handled;
    struct mqtt_subscribe again = list;
    while (mqtt_subscribe_next(&list, &one)) {
        int code = subscribe(connection, &one);
        broker_count(&loop->counters.subscriptions_refused, code < 0);
        answer.codes[answer.count++] = code < 0 ? MQTT_SUBACK_FAILURE : one.qos; // [MQTT-3.8.4-6]
    }
    acknowledge(connection, list.packet_id, &answer); // [MQTT-3.8.4-1]
    // Subscribed first, then asked for what is retained: what is published in between comes twice, but never
    // not.
    if (retained_count(loop->broker->retained) > 0)
        owe_retained(connection, &again, &answer);
    delivery_pump(loop, connection->session);
    message_unref(answer.packet);
    return HANDLED;
}

enum handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct loop *loop = connection->loop;
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    uint8_t packet[4];
    if (!decode(connection, frame, &list))
        return HANDLED;
    if (!output_has_room(connection, sizeof packet))
        return HANDLE_LATER;
    while (mqtt_subscribe_next(&list, &one))
        topics_unsubscribe(loop->broker->topics, &connection->session->subscriber, one.filter);
    int bytes = mqtt_ack_encode(packet, sizeof packet, MQTT_UNSUBACK, list.packet_id); // [MQTT-3.10.4-5]
    output_append(connection, packet, (size_t)bytes);
    return HANDLED;
}
