// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/connection_end.h"

#include "broker/mqtt/check.h"
#include "broker/mqtt/delivery.h"

#include <errno.h>

// Section 3.1.2.5: a will is published when the connection ends without a DISCONNECT. Not when the broker
// shuts down.
static void publish_will(struct worker *worker, struct message *will)
{
    if (!worker->server->is_closing) {
        int code = delivery_route(worker, will);
        if (code < 0)
            worker_count_dropped(worker, code);
        broker_count(&worker->counters.wills_published, 1);
    }
    message_unref(will);
}

static void restart_flow(struct session *session)
{
    if (!session->flow)
        return;
    CHECK(flow_is_valid(session->flow));
    flow_inflight_restart(session->flow);
    session_flow_done(session);
}

void connection_detach(struct connection *connection)
{
    if (!connection_has_session(connection))
        return;
    struct session *session = connection->session;
    struct message *will = session->will;
    session->will = NULL;
    connection->transport.owner_bit = false;
    connection->arena = NULL;
    session->connection = NULL;
    if (session->is_clean) {
        server_end_session(connection_worker(connection)->server, session); // [MQTT-3.1.2-6]
    } else {
        session->away_tick = connection->transport.turn->tick;
        restart_flow(session);
    }
    if (will)
        publish_will(connection_worker(connection), will);
}

void connection_on_close(struct transport *transport)
{
    struct connection *connection = connection_of(transport);
    struct worker *worker = connection_worker(connection);
    transport->is_dead = true;
    connection_detach(connection);
    connection_free(connection);
    server_release_connection(worker->server);
    broker_count(&worker->counters.closed, 1);
}
