// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/expiry.h"

#include "broker/mqtt/server_state.h"

#include <errno.h>

enum { ENDED_MOST = 512 }; // in one tick, so that other clients are served

// Only the owner's loop may look at more of a session than `owner`.
static bool has_expired(void *context, const struct session *session)
{
    const struct worker *worker = context;
    return session->owner == worker->index && !session->connection && !session->is_clean &&
           worker->turn->tick - session->away_tick >= worker->server->session_expiry_ticks;
}

// Messages that wait in the session were acknowledged to their publishers: their loss is counted.
static void end(struct worker *worker, struct session *session)
{
    const struct session_flow *flow = session->flow;
    uint32_t waiting = flow ? flow->queue_count : 0;
    for (uint32_t i = 0; flow && i < flow->inflight_count; i++)
        waiting += flow->inflight[i].message != NULL;
    for (; waiting > 0; waiting--)
        worker_count_dropped(worker, -ETIME);
    server_end_session(worker->server, session);
    broker_count(&worker->counters.sessions_expired, 1);
}

void expiry_on_tick(struct worker *worker)
{
    struct session *expired[ENDED_MOST];
    struct server *server = worker->server;
    if (server->session_expiry_ticks == 0)
        return;
    size_t count =
        session_table_sweep(server->sessions, &worker->sweep, has_expired, worker, expired, ENDED_MOST);
    for (size_t i = 0; i < count; i++)
        end(worker, expired[i]);
}
