// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/expiry.h"

#include "broker/mqtt/server_state.h"

#include <errno.h>

// In one tick, so that other clients are served: so many, fewer if they have much, and so many at a time.
enum { ENDED_MOST = 512, ENDED_AT_A_TIME = 32 };

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
    worker_count_all_dropped(worker, -ETIME, waiting);
    server_end_session(worker->server, session);
    broker_count(&worker->counters.sessions_expired, 1);
}

void expiry_on_tick(struct worker *worker)
{
    struct session *expired[ENDED_AT_A_TIME];
    struct server *server = worker->server;
    size_t count = ENDED_AT_A_TIME;
    if (server->session_expiry_ticks == 0)
        return;
    for (int ended = 0; count == ENDED_AT_A_TIME && ended < ENDED_MOST && !turn_part_is_over(worker->turn);
         ended += (int)count) {
        count = session_table_sweep(server->sessions, &worker->sweep, has_expired, worker, expired,
                                    ENDED_AT_A_TIME);
        for (size_t i = 0; i < count; i++)
            end(worker, expired[i]);
    }
}
