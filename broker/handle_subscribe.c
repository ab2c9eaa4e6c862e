// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/delivery.h"
#include "broker/handlers.h"
#include "broker/loop.h"
#include "broker/retained.h"
#include "broker/session.h"
#include "broker/topics.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>

// More filters than this in one packet are more than we answer for; the client is closed.
enum { FILTERS_MOST = 1024, SUBACK_HEAD_BYTES = MQTT_HEADER_MAX + 2 };

struct newcomer {
    struct loop *loop;
    struct session *session;
    uint8_t qos;
};

// Under the read lock of the retained messages.
static void deliver_retained(void *context, struct message *message)
{
    const struct newcomer *newcomer = context;
    delivery_to_session(newcomer->loop, newcomer->session, message, newcomer->qos, true); // [MQTT-3.3.1-8]
}

// Is the packet well-formed, and is there room for its answer? If not, `handled` is what to return.
static bool is_ready(struct connection *connection, const struct mqtt_frame *frame,
                     struct mqtt_subscribe *list, size_t codes_per_filter, enum handled *handled)
{
    *handled = HANDLED;
    if (mqtt_subscribe_decode(frame, list) != MQTT_OK) {
        connection_fail_protocol(connection);
        return false;
    }
    size_t answer_bytes = SUBACK_HEAD_BYTES + list->count * codes_per_filter;
    if (list->count > FILTERS_MOST) {
        connection_fail_protocol(connection);
        return false;
    }
    if (output_has_room(connection, answer_bytes))
        return true;
    if (connection->is_blocked)
        *handled = HANDLE_LATER;
    else
        connection_fail(connection); // no write buffer of this shape holds the answer
    return false;
}

static void acknowledge(struct connection *connection, uint16_t packet_id, const uint8_t *codes, size_t count)
{
    uint8_t packet[SUBACK_HEAD_BYTES + FILTERS_MOST];
    struct mqtt_suback suback = {packet_id, codes, count};
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

enum handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct loop *loop = connection->loop;
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    enum handled handled;
    if (!is_ready(connection, frame, &list, 1, &handled))
        return handled;
    uint8_t codes[FILTERS_MOST];
    size_t count = 0;
    struct mqtt_subscribe again = list;
    while (mqtt_subscribe_next(&list, &one)) {
        int code = subscribe(connection, &one);
        broker_count(&loop->counters.subscriptions_refused, code < 0);
        codes[count++] = code < 0 ? MQTT_SUBACK_FAILURE : one.qos; // [MQTT-3.8.4-6]
    }
    acknowledge(connection, list.packet_id, codes, count); // [MQTT-3.8.4-1]
    // Subscribed first, then asked for what is retained: what is published in between comes twice, but never
    // not.
    for (count = 0; mqtt_subscribe_next(&again, &one); count++) {
        struct newcomer newcomer = {loop, connection->session, one.qos};
        if (codes[count] != MQTT_SUBACK_FAILURE)
            retained_match(loop->broker->retained, one.filter, deliver_retained, &newcomer);
    }
    return HANDLED;
}

enum handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct loop *loop = connection->loop;
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    enum handled handled;
    if (!is_ready(connection, frame, &list, 0, &handled))
        return handled;
    while (mqtt_subscribe_next(&list, &one))
        topics_unsubscribe(loop->broker->topics, &connection->session->subscriber, one.filter);
    uint8_t packet[4];
    int bytes = mqtt_ack_encode(packet, sizeof packet, MQTT_UNSUBACK, list.packet_id); // [MQTT-3.10.4-5]
    output_append(connection, packet, (size_t)bytes);
    return HANDLED;
}
