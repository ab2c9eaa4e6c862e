// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/connection_end.h"

#include "broker/mqtt/check.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable.h"

#include <errno.h>

// Section 3.1.2.5: a will is published when the connection ends without a DISCONNECT. Not when the broker
// shuts down; with a state file, when it starts again.
static void publish_will(struct worker *worker, struct message *will)
{
    if (!worker->server->is_closing) {
        int code = delivery_route(worker, will);
        if (code < 0)
            worker_count_dropped(worker, code);
        durable_will_end(worker, will);
        broker_count(&worker->counters.wills_published, 1);
    }
    message_unref(will);
}

static void restart_flow(struct session *session)
{
    if (!session->flow)
        return;
    CHECK(flow_is_valid(session->flow));
    flow_part_done(session->flow);
    flow_inflight_restart(session->flow);
    session_flow_done(session);
}

void connection_detach(struct connection *connection)
{
    if (!connection_has_session(connection))
        return;
    struct session *session = connection->session;
    struct worker *worker = connection_worker(connection);
    struct message *will = session->will;
    durable_begin(worker, NULL);
    session->will = NULL;
    connection->transport.owner_bit = false;
    connection->arena = NULL;
    session->connection = NULL;
    if (session->is_clean) {
        server_end_session(worker->server, session); // [MQTT-3.1.2-6]
    } else {
        session->away_tick = connection->transport.turn->tick;
        durable_away(worker, session);
        restart_flow(session);
    }
    if (will)
        publish_will(worker, will);
    durable_end(worker);
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
