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

// Work of a filter, and of a portion of filters that are checked.
enum { FILTER_WORK = 10, CHECK_BYTES = 4096, CHECK_WORK = 16 };

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

static void owe_retained(struct connection *connection, const struct mqtt_subscription *one)
{
    struct worker *worker = connection_worker(connection);
    struct session_flow *flow = worker_flow(worker, connection->session);
    if (!flow || replays_add(&flow->replays, &worker->server->account, one->filter, one->qos) < 0)
        worker_count_dropped(worker, -ENOMEM);
}

// Returns the code for the SUBACK [MQTT-3.8.4-6]. First subscribes, then owes the retained messages. One that is published in
// between may come twice, but is never missed.
static uint8_t subscribe_one(struct connection *connection, const struct mqtt_subscription *one,
                             size_t number)
{
    struct worker *worker = connection_worker(connection);
    if (subscribe(connection, one, number) < 0) {
        broker_count(&worker->counters.subscriptions_refused, 1);
        return MQTT_SUBACK_FAILURE;
    }
    if (retained_count(worker->server->retained) > 0)
        owe_retained(connection, one);
    return one->qos;
}

static void unsubscribe_one(struct connection *connection, const struct mqtt_subscription *one)
{
    struct worker *worker = connection_worker(connection);
    if (topics_unsubscribe(worker->server->topics, &connection->session->subscriber, one->filter))
        durable_unsubscribe(worker, connection->session, one->filter);
}

// Has this request used up its share of the turn?
static bool waits(struct connection *connection)
{
    return turn_is_busy(connection->transport.turn) && turn_defer(&connection->transport);
}

static bool check_some(struct connection *connection, struct mqtt_subscribe *list, enum mqtt_error *error)
{
    while (*error == MQTT_OK && list->at < list->end) {
        if (waits(connection))
            return false;
        *error = mqtt_subscribe_check(list, CHECK_BYTES);
        connection->transport.turn->work += CHECK_WORK;
    }
    return true;
}

static bool apply_some(struct connection *connection, struct mqtt_subscribe *list, struct flow_part *part)
{
    struct mqtt_subscription one;
    uint8_t *codes =
        part->answer ? (uint8_t *)part->answer->data + part->answer->payload_bytes - part->count : NULL;
    while (list->at < list->end) {
        if (waits(connection))
            return false;
        connection->transport.turn->work += FILTER_WORK;
        if (!mqtt_subscribe_next(list, &one))
            break; // cannot happen: all were checked
        if (codes)
            codes[part->done] = subscribe_one(connection, &one, part->done);
        else
            unsubscribe_one(connection, &one);
        part->done++;
    }
    return true;
}

// All filters are checked, and `list` is at its beginning. false: no memory for the answer.
static bool begin_applying(struct connection *connection, const struct mqtt_subscribe *list,
                           struct flow_part *part)
{
    struct worker *worker = connection_worker(connection);
    size_t bytes = mqtt_packet_bytes(2 + (size_t)part->count);
    part->is_checked = true;
    if (!list->has_qos)
        return true;
    part->answer = message_new_packet(&worker->server->stores.messages, bytes);
    return part->answer &&
           mqtt_suback_encode_head(part->answer->data, bytes, list->packet_id, (size_t)part->count) > 0;
}

// All is done but the answer.
static struct handled answer_large(struct connection *connection, const struct mqtt_subscribe *list,
                                   struct flow_part *part)
{
    struct transport *transport = &connection->transport;
    if (part->answer) {
        if (!transport->is_broken && !transport_is_empty(transport) && !transport_flush(transport))
            return handled(HANDLE_PAUSE);
        connection_send_packet(connection, part->answer); // [MQTT-3.8.4-1]
    } else {
        if (!transport_has_room(transport, CONNECTION_ACK_BYTES))
            return handled(HANDLE_PAUSE);
        connection_acknowledge(connection, MQTT_UNSUBACK, list->packet_id); // [MQTT-3.10.4-5]
    }
    flow_part_done(connection->session->flow);
    delivery_pump(connection_worker(connection), connection->session);
    return handled(HANDLED);
}

static struct handled no_memory(struct connection *connection)
{
    broker_count(&connection_worker(connection)->counters.closed_no_memory, 1);
    return handled_close(NULL);
}

// A SUBSCRIBE or UNSUBSCRIBE of many filters: checks all of them, then applies all, each in portions.
static struct handled handle_large(struct connection *connection, const struct mqtt_frame *frame)
{
    struct mqtt_subscribe list;
    struct session_flow *flow = worker_flow(connection_worker(connection), connection->session);
    bool is_new = flow && !flow->part;
    struct flow_part *part = flow ? flow_part_need(flow) : NULL;
    enum mqtt_error error = mqtt_subscribe_begin(frame, &list);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!part)
        return no_memory(connection);
    const uint8_t *begin = list.at;
    if (!is_new)
        list.at = list.end - part->left;
    if (!part->is_checked) {
        list.count = part->count;
        bool is_done = check_some(connection, &list, &error);
        part->count = list.count;
        part->left = (size_t)(list.end - list.at);
        if (error != MQTT_OK)
            return handled_close(mqtt_error_text(error));
        if (!is_done)
            return handled(HANDLE_LATER);
        list.at = begin;
        if (!begin_applying(connection, &list, part))
            return no_memory(connection);
    }
    bool is_done = apply_some(connection, &list, part);
    part->left = (size_t)(list.end - list.at);
    return is_done ? answer_large(connection, &list, part) : handled(HANDLE_LATER);
}

struct handled handle_subscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct worker *worker = connection_worker(connection);
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    struct answer answer;
    struct handled after;
    if (connection->session->is_stored && durable_refuses(worker)) {
        broker_count(&worker->counters.closed_state, 1);
        return handled_close(NULL);
    }
    if (frame->body_bytes > HANDLERS_AT_ONCE_BYTES)
        return handle_large(connection, frame);
    enum mqtt_error error = mqtt_subscribe_decode(frame, &list);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!prepare(connection, &list, &answer, &after))
        return after;
    while (mqtt_subscribe_next(&list, &one)) {
        answer.codes[answer.count] = subscribe_one(connection, &one, answer.count);
        answer.count++;
        worker->turn->work += FILTER_WORK;
    }
    acknowledge(connection, list.packet_id, &answer); // [MQTT-3.8.4-1]
    delivery_pump(worker, connection->session);
    message_unref(answer.packet);
    return handled(HANDLED);
}

struct handled handle_unsubscribe(struct connection *connection, const struct mqtt_frame *frame)
{
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    if (frame->body_bytes > HANDLERS_AT_ONCE_BYTES)
        return handle_large(connection, frame);
    enum mqtt_error error = mqtt_subscribe_decode(frame, &list);
    if (error != MQTT_OK)
        return handled_close(mqtt_error_text(error));
    if (!transport_has_room(&connection->transport, CONNECTION_ACK_BYTES))
        return handled(HANDLE_PAUSE);
    while (mqtt_subscribe_next(&list, &one)) {
        unsubscribe_one(connection, &one);
        connection->transport.turn->work += FILTER_WORK;
    }
    connection_acknowledge(connection, MQTT_UNSUBACK, list.packet_id); // [MQTT-3.10.4-5]
    return handled(HANDLED);
}
