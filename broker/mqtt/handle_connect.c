// SPDX-License-Identifier: Apache-2.0
// CONNECT (section 3.1) and its CONNACK.
#include "broker/broker.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/handicap.h"
#include "broker/mqtt/handlers.h"
#include "broker/net/loop.h"
#include "broker/mqtt/session.h"
#include "broker/mqtt/session_table.h"
#include "wire/mqtt_connect.h"

#include <errno.h>
#include <stdio.h>

static void acknowledge(struct connection *connection, enum mqtt_connack_code code, bool session_present)
{
    uint8_t packet[4];
    int bytes = mqtt_connack_encode(packet, sizeof packet, code, session_present);
    output_append(connection, packet, (size_t)bytes);
}

// [MQTT-3.2.2-5]: a return code that is not zero, and the connection is closed.
static enum handled refuse(struct connection *connection, enum mqtt_connack_code code)
{
    acknowledge(connection, code, false);
    output_flush(connection);
    connection_fail(connection);
    return HANDLED;
}

static enum handled refuse_without_memory(struct connection *connection, bool is_account)
{
    struct broker_counters *counters = &connection->loop->counters;
    broker_count(is_account ? &counters->refused_memory : &counters->refused_pool, 1);
    message_unref(connection->will);
    connection->will = NULL; // it never was connected
    return refuse(connection, MQTT_REFUSED_UNAVAILABLE);
}

// [MQTT-3.1.3-6]: a client without an id gets one of its own. Nobody else would come upon it by chance.
static struct mqtt_text make_id(struct loop *loop, char *text, size_t size)
{
    int bytes = snprintf(text, size, "auto/%x/%llx/%llx", loop->index, (unsigned long long)loop->start_ns,
                         (unsigned long long)loop->ids_made++);
    return (struct mqtt_text){text, (size_t)bytes};
}

// The connection of a session that another one takes over [MQTT-3.1.4-2]. `is_clean`: the session ends with
// it.
static void end_connection(struct loop *loop, struct session *session, bool is_clean)
{
    struct connection *old = session->connection;
    broker_count(&loop->counters.sessions_taken_over, 1);
    output_flush(old);
    connection_break(old);
    input_drain_within(old); // what it sent before counts, a DISCONNECT too
    session->is_clean = session->is_clean || is_clean;
    connection_detach(old);
}

static void end_session(struct loop *loop, struct session *session)
{
    if (session->connection)
        end_connection(loop, session, true);
    else
        broker_end_session(loop->broker, session);
}

// A new session in place of the one before (NULL: none), which either side wanted clean [MQTT-3.1.2-6]. That
// one ends first only when there is no room for both.
// 0: it is in the table and ours. -EEXIST: another loop was quicker. -ENOMEM.
static int replace_session(struct connection *connection, struct mqtt_text id, bool is_clean,
                           struct session *before, struct session **session)
{
    struct loop *loop = connection->loop;
    struct block_store *arenas = &loop->broker->stores.arenas;
    struct session *made = session_new(arenas, connection->arena, id, loop->index, is_clean);
    if (before)
        end_session(loop, before);
    if (before && !made)
        made = session_new(arenas, connection->arena, id, loop->index, is_clean);
    if (!made)
        return -ENOMEM;
    connection->arena = NULL;
    int code = session_table_insert(loop->broker->sessions, made);
    if (code < 0) {
        session_unref(made, arenas);
        return code;
    }
    *session = made;
    return 0;
}

static void attach(struct connection *connection, struct session *session)
{
    struct block_store *arenas = &connection->loop->broker->stores.arenas;
    block_put(arenas, connection->arena, arenas->object_bytes); // when the session had one already
    connection->session = session;
    connection->has_session = true;
    connection->state = CONNECTION_OPEN;
    session->connection = connection;
}

static bool take_will(struct connection *connection, const struct mqtt_connect *connect)
{
    if (!connect->has_will)
        return true;
    connection->will = message_new(&connection->loop->broker->stores.messages, connect->will_topic,
                                   connect->will_message, connect->will_qos, connect->will_retain);
    return connection->will != NULL;
}

// Finds or makes the session. 1: it is here; 0: loop->hand_over_to has it; -ENOMEM: there is none.
static int find_session(struct connection *connection, struct mqtt_text id, bool is_clean,
                        struct session **session, bool *was_present)
{
    struct loop *loop = connection->loop;
    for (;;) {
        struct session_found found = session_table_find(loop->broker->sessions, id, loop->index);
        if (found.owner >= 0 && found.owner != loop->index) {
            loop->hand_over_to = (uint16_t)found.owner;
            return 0;
        }
        *was_present = found.session && !found.session->is_clean && !is_clean;
        if (*was_present) {
            *session = found.session;
            if (found.session->connection)
                end_connection(loop, found.session, false);
            return 1;
        }
        int code = replace_session(connection, id, is_clean, found.session, session);
        if (code != -EEXIST)
            return code < 0 ? code : 1;
    }
}

enum handled handle_connect(struct connection *connection, const struct mqtt_frame *frame)
{
    struct loop *loop = connection->loop;
    struct mqtt_connect connect;
    enum mqtt_error error = mqtt_connect_decode(frame, &connect);
    if (error != MQTT_OK) {
        enum mqtt_connack_code code = mqtt_error_connack(error);
        broker_count(&loop->counters.protocol_errors, 1);
        if (code != MQTT_ACCEPTED)
            return refuse(connection, code);
        connection_fail(connection);
        return HANDLED;
    }
    if (connect.has_will && !topic_levels_fit(loop->broker, connect.will_topic)) {
        broker_count(&loop->counters.closed_topic_levels, 1);
        connection_fail(connection);
        return HANDLED;
    }
    char made[64];
    if (connect.client_id.bytes == 0)
        connect.client_id = make_id(loop, made, sizeof made);
    // The will may be refused, so it comes before the session: a client that is refused leaves none, and the
    // one that is there stays.
    struct session *session = NULL;
    bool was_present = false;
    int64_t refused_before = account_refused(&loop->broker->account);
    int found = take_will(connection, &connect) ? find_session(connection, connect.client_id,
                                                               connect.clean_session, &session, &was_present)
                                                : -ENOMEM;
    if (found < 0)
        return refuse_without_memory(connection, account_refused(&loop->broker->account) > refused_before);
    if (found == 0) {
        message_unref(connection->will); // it is taken again where the session is
        connection->will = NULL;
        return HANDLE_ELSEWHERE;
    }
    handicap_connect();
    attach(connection, session);
    connection_start_keep_alive(connection, connect.keep_alive_s);
    acknowledge(connection, MQTT_ACCEPTED, was_present); // [MQTT-3.2.2-2]
    delivery_pump(loop, session);
    output_flush(connection);
    return HANDLED;
}
