// SPDX-License-Identifier: Apache-2.0
// CONNECT (section 3.1) and its CONNACK.
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable.h"
#include "broker/mqtt/handicap.h"
#include "broker/mqtt/handlers.h"
#include "wire/mqtt_connect.h"

#include <errno.h>
#include <stdio.h>

static void acknowledge(struct connection *connection, enum mqtt_connack_code code, bool session_present)
{
    uint8_t packet[4];
    int bytes = mqtt_connack_encode(packet, sizeof packet, code, session_present);
    transport_append(&connection->transport, packet, (size_t)bytes);
}

static struct handled refuse_without_memory(struct connection *connection, bool is_account)
{
    struct broker_counters *counters = &connection_worker(connection)->counters;
    broker_count(is_account ? &counters->refused_memory : &counters->refused_pool, 1);
    acknowledge(connection, MQTT_REFUSED_UNAVAILABLE, false); // [MQTT-3.2.2-5]
    return handled_close(NULL);
}

// [MQTT-3.1.3-6]: a client without an id gets a unique one. Another client would not choose it by chance.
static struct mqtt_text make_id(struct worker *worker, char *text, size_t size)
{
    int bytes = snprintf(text, size, "auto/%x/%llx/%llx", worker->index, (unsigned long long)worker->start_ns,
                         (unsigned long long)worker->ids_made++);
    return (struct mqtt_text){text, (size_t)bytes};
}

// Replaces the session `before` (NULL: none) with a new one, because either of them is clean [MQTT-3.1.2-6].
// Makes the new one first; only without memory for both, `before` ends first. 0: the new session is in the
// table. -EEXIST: another loop was faster. -ENOMEM.
static int replace_session(struct connection *connection, struct mqtt_text id, bool is_clean,
                           struct session *before, struct session **session)
{
    struct worker *worker = connection_worker(connection);
    struct block_store *arenas = &worker->server->stores.arenas;
    struct session *made = durable_session_new(worker, connection->arena, id, is_clean);
    if (before)
        server_end_session(worker->server, before);
    if (before && !made)
        made = durable_session_new(worker, connection->arena, id, is_clean);
    if (!made)
        return -ENOMEM;
    connection->arena = NULL;
    int code = session_table_insert(worker->server->sessions, made);
    if (code < 0) {
        session_unref(made, arenas);
        return code;
    }
    durable_session(worker, made);
    *session = made;
    return 0;
}

static void attach(struct connection *connection, struct session *session)
{
    struct block_store *arenas = &connection_worker(connection)->server->stores.arenas;
    block_put(arenas, connection->arena, arenas->object_bytes); // unused; NULL if a new session took it
    connection->session = session;
    connection->transport.owner_bit = true;
    session->connection = connection;
}

// 0, with `will` NULL when there is none; -ENOMEM.
static int take_will(struct worker *worker, const struct mqtt_connect *connect, struct message **will)
{
    *will = NULL;
    if (!connect->has_will)
        return 0;
    *will = durable_message(worker->server, connect->will_topic, connect->will_message, connect->will_qos,
                            connect->will_retain);
    return *will ? 0 : -ENOMEM;
}

// The result of the search for a session.
struct search {
    enum { SEARCH_DONE, SEARCH_ELSEWHERE, SEARCH_TAKE_OVER, SEARCH_FAILED } result;
    struct session *session;
    bool was_present;
    const struct worker *owner;
};

// Finds or makes the session.
static struct search find_session(struct connection *connection, struct mqtt_text id, bool is_clean)
{
    struct worker *worker = connection_worker(connection);
    struct server *server = worker->server;
    struct search search = {.result = SEARCH_DONE};
    for (;;) {
        struct session_found found = session_table_find(server->sessions, id, worker->index);
        search.session = found.session;
        if (found.owner >= 0 && found.owner != worker->index) {
            search.owner = server->workers[found.owner];
            search.result = SEARCH_ELSEWHERE;
            return search;
        }
        if (found.session && found.session->connection) {
            search.result = SEARCH_TAKE_OVER;
            return search;
        }
        search.was_present = found.session && !found.session->is_clean && !is_clean;
        if (search.was_present)
            return search;
        int code = replace_session(connection, id, is_clean, found.session, &search.session);
        if (code == -EEXIST)
            continue;
        if (code < 0)
            search.result = SEARCH_FAILED;
        return search;
    }
}

// A will keeps to the bounds of a PUBLISH. No return code of the CONNACK says so [MQTT-3.2.2-6].
static bool may_have_will(struct worker *worker, const struct mqtt_connect *connect)
{
    const struct server *server = worker->server;
    _Atomic int64_t *refusal = NULL;
    if (!server_topic_fits(server, connect->will_topic))
        refusal = &worker->counters.closed_topic_levels;
    else if ((int64_t)connect->will_message.bytes > server->message_size_limit)
        refusal = &worker->counters.closed_message_size;
    else if (connect->will_retain && !server->has_retained)
        refusal = &worker->counters.closed_retain;
    if (refusal)
        broker_count(refusal, 1);
    return !refusal;
}

// The will of a malformed CONNECT is not published.
static struct handled refuse_malformed(struct connection *connection, enum mqtt_error error)
{
    enum mqtt_connack_code code = mqtt_error_connack(error);
    if (code != MQTT_ACCEPTED)
        acknowledge(connection, code, false); // [MQTT-3.2.2-5]
    return handled_close(mqtt_error_text(error));
}

static struct handled accept_client(struct connection *connection, const struct mqtt_connect *connect,
                                    const struct search *search, struct message *will)
{
    struct worker *worker = connection_worker(connection);
    handicap_connect();
    connection_is_no_newcomer(connection);
    attach(connection, search->session);
    search->session->will = will;
    durable_will(worker, will);
    if (search->was_present)
        durable_connected(worker, search->session);
    connection_start_keep_alive(connection, connect->keep_alive_s);
    acknowledge(connection, MQTT_ACCEPTED, search->was_present); // [MQTT-3.2.2-2]
    broker_count(&worker->counters.connects_answered, 1);
    delivery_pump(worker, search->session);
    transport_flush(&connection->transport);
    return handled(HANDLED);
}

// The next step after a search that found and made no session.
static struct handled without_session(struct connection *connection, const struct search *search,
                                      int64_t refused_before)
{
    switch (search->result) {
    case SEARCH_ELSEWHERE:
        return (struct handled){HANDLE_HAND_OVER, {.to = search->owner}};
    case SEARCH_TAKE_OVER:
        return (struct handled){HANDLE_TAKE_OVER, {.other = search->session->connection}};
    case SEARCH_FAILED:
    case SEARCH_DONE:
        break;
    }
    const struct server *server = connection_worker(connection)->server;
    return refuse_without_memory(connection, account_refused(&server->account) > refused_before);
}

struct handled handle_connect(struct connection *connection, const struct mqtt_frame *frame)
{
    struct worker *worker = connection_worker(connection);
    struct mqtt_connect connect;
    enum mqtt_error error = mqtt_connect_decode(frame, &connect);
    if (error != MQTT_OK)
        return refuse_malformed(connection, error);
    if (connect.has_will && !may_have_will(worker, &connect))
        return handled_close(NULL);
    if ((!connect.clean_session || connect.has_will) && durable_refuses(worker)) {
        broker_count(&worker->counters.refused_state, 1);
        acknowledge(connection, MQTT_REFUSED_UNAVAILABLE, false); // [MQTT-3.2.2-5]
        return handled_close(NULL);
    }
    char made[64];
    if (connect.client_id.bytes == 0)
        connect.client_id = make_id(worker, made, sizeof made);
    // The will is taken before the session, because it may be refused. So a refused client makes no session
    // and does not replace an existing one.
    int64_t refused_before = account_refused(&worker->server->account);
    struct search search = {.result = SEARCH_FAILED};
    struct message *will;
    if (take_will(worker, &connect, &will) == 0)
        search = find_session(connection, connect.client_id, connect.clean_session);
    if (search.result == SEARCH_DONE)
        return accept_client(connection, &connect, &search, will);
    message_unref(will); // taken again when the CONNECT is handled again
    return without_session(connection, &search, refused_before);
}
