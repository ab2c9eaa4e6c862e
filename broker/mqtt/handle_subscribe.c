// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable.h"
#include "broker/mqtt/handlers.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>

// Up to this many return codes are gathered on the stack and appended to the output. The write buffer of
// every shape holds them. The answer to more filters is a separate message.
enum { FILTERS_FEW = 64, SUBACK_HEAD_BYTES = MQTT_HEADER_MAX + 2 };

// The SUBACK while it is built.
struct answer {
    uint8_t *codes; // in `few`, or in `packet`
    size_t count;
    struct message *packet; // NULL: `few` is used
    uint8_t few[FILTERS_FEW];
};

// Makes room for the answer before any work. false: return `after`.
static bool prepare(struct connection *connection, const struct mqtt_subscribe *list, struct answer *answer,
                    struct handled *after)
{
    struct worker *worker = connection_worker(connection);
    *after = handled(HANDLE_PAUSE);
    answer->codes = answer->few;
    answer->count = 0;
    answer->packet = NULL;
    if (list->count <= FILTERS_FEW)
        return transport_has_room(&connection->transport, SUBACK_HEAD_BYTES + list->count);
    struct transport *transport = &connection->transport;
    if (!transport->is_broken && !transport_is_empty(transport) && !transport_flush(transport))
        return false;
    size_t bytes = mqtt_packet_bytes(2 + (size_t)list->count);
    answer->packet = message_new_packet(&worker->server->stores.messages, bytes);
    if (!answer->packet) {
        broker_count(&worker->counters.closed_no_memory, 1);
        *after = handled_close(NULL);
        return false;
    }
    uint8_t *data = (uint8_t *)answer->packet->data;
    answer->codes = data + mqtt_suback_encode_head(data, bytes, list->packet_id, (size_t)list->count);
    return true;
}

static void acknowledge(struct connection *connection, uint16_t packet_id, const struct answer *answer)
{
    if (answer->packet) {
        connection_send_packet(connection, answer->packet);
        return;
    }
    uint8_t packet[SUBACK_HEAD_BYTES + FILTERS_FEW];
    struct mqtt_suback suback = {packet_id, answer->codes, answer->count};
    int bytes = mqtt_suback_encode(packet, sizeof packet, &suback);
    if (bytes > 0)
        transport_append(&connection->transport, packet, (size_t)bytes);
}

// `number`: of the filter in its SUBSCRIBE, from 0.
static int subscribe(struct connection *connection, const struct mqtt_subscription *one, size_t number)
{
    struct worker *worker = connection_worker(connection);
    struct server *server = worker->server;
    if ((int64_t)number >= server->max_filters || !server_topic_fits(server, one->filter))
        return -EDQUOT;
    int code = topics_subscribe(server->topics, &connection->session->subscriber, one->filter, one->qos);
    if (code >= 0)
        durable_subscribe(worker, connection->session, one->filter, one->qos,
                          worker->durable && retained_count(server->retained) > 0);
    return code;
}

static void owe_retained(struct connection *connection, struct mqtt_subscribe *list,
                         const struct answer *answer)
{
    struct worker *worker = connection_worker(connection);
    struct session_flow *flow = worker_flow(worker, connection->session);
    struct mqtt_subscription one;
    for (size_t i = 0; mqtt_subscribe_next(list, &one); i++)
        if (answer->codes[i] != MQTT_SUBACK_FAILURE &&
            (!flow || replays_add(&flow->replays, &worker->server->account, one.filter, one.qos) < 0))
            worker_count_dropped(worker, -ENOMEM);
}

struct handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct worker *worker = connection_worker(connection);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    struct answer answer;
    struct handled after;
    enum mqtt_error error = mqtt_subscribe_decode(frame, &list);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (connection->session->is_stored && durable_refuses(worker)) {
        broker_count(&worker->counters.closed_state, 1);
        return handled_close(NULL);
    }
    if (!prepare(connection, &list, &answer, &after))
        return after;
    struct mqtt_subscribe again = list;
    while (mqtt_subscribe_next(&list, &one)) {
        int code = subscribe(connection, &one, answer.count);
        broker_count(&worker->counters.subscriptions_refused, code < 0);
        answer.codes[answer.count++] = code < 0 ? MQTT_SUBACK_FAILURE : one.qos; // [MQTT-3.8.4-6]
    }
    acknowledge(connection, list.packet_id, &answer); // [MQTT-3.8.4-1]
    // First subscribe, then replay retained messages. A message published in between may come twice, but is
    // never missed.
    if (retained_count(worker->server->retained) > 0)
        owe_retained(connection, &again, &answer);
    delivery_pump(worker, connection->session);
    message_unref(answer.packet);
    return handled(HANDLED);
}

struct handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct worker *worker = connection_worker(connection);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    enum mqtt_error error = mqtt_subscribe_decode(frame, &list);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
        return handled(HANDLE_PAUSE);
    while (mqtt_subscribe_next(&list, &one))
        if (topics_unsubscribe(worker->server->topics, &connection->session->subscriber, one.filter))
            durable_unsubscribe(worker, connection->session, one.filter);
    connection_acknowledge(connection, MQTT_UNSUBACK, list.packet_id); // [MQTT-3.10.4-5]
    return handled(HANDLED);
}
