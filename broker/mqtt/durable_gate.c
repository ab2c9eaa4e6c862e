// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/durable_gate.h"

#include "broker/mqtt/connection.h"
#include "broker/mqtt/message.h"

#include <errno.h>
#include <stdlib.h>

struct durable_mail {
    uint16_t to; // index of a worker
    struct mail mail;
};

enum { KEPT_MAIL = 4096 }; // a list with a larger capacity is freed, not kept

// The other loop's mailbox is full, or there is no memory.
static void lose_mail(struct worker *worker, const struct mail *mail)
{
    durable_delivered(worker, mail->receiver, durable_mail_number(mail));
    worker_count_dropped(worker, -EDQUOT);
    message_unref(mail->object);
    // If this is the last reference, its loop has ended the session and touches it no more.
    session_unref(mail->receiver, &worker->server->stores.arenas);
}

static void post_mail(struct worker *worker)
{
    struct durable *durable = worker->durable;
    for (size_t i = 0; i < durable->mail_count; i++) {
        const struct durable_mail *held = &durable->mail[i];
        if (turn_post(worker->server->workers[held->to]->turn, &held->mail, DELIVERY_MAIL_MOST) < 0)
            lose_mail(worker, &held->mail);
    }
    durable->mail_count = 0;
    if (durable->mail_capacity > KEPT_MAIL) {
        free(durable->mail);
        durable->mail = NULL;
        durable->mail_capacity = 0;
    }
}

void durable_publish(struct worker *worker)
{
    state_publish(&worker->durable->batch);
    if (worker->durable->mail_count > 0)
        post_mail(worker);
}

enum transport_leave durable_may_send(struct transport *transport)
{
    struct worker *worker = transport->turn->owner;
    struct durable *durable = worker->durable;
    if (durable->depth > 0)
        return LEAVE_LATER;
    if (!(transport->source & CONNECTION_GATED))
        return LEAVE_NOW;
    durable_publish(worker);
    if (durable->batch.mark > durable->safe) {
        if (!state_commit(worker->server->state, durable->batch.mark)) {
            broker_count(&worker->counters.closed_state, 1);
            return LEAVE_NEVER;
        }
        durable->safe = durable->batch.mark;
    }
    transport->source &= (uint8_t)~CONNECTION_GATED;
    return LEAVE_NOW;
}

void durable_on_turn_end(void *owner)
{
    struct worker *worker = owner;
    struct durable *durable = worker->durable;
    if (!durable || (durable->batch.count == 0 && durable->mail_count == 0))
        return;
    durable_publish(worker);
    if (durable->is_urgent || state_waiting(worker->server->state) >= STATE_WAITING_MOST)
        state_commit_all(worker->server->state);
    durable->is_urgent = false;
}

void durable_on_tick(struct worker *worker)
{
    if (!worker->durable)
        return;
    durable_publish(worker);
    state_commit_all(worker->server->state);
}

int durable_post(struct worker *worker, uint16_t to, const struct mail *mail)
{
    struct durable *durable = worker->durable;
    if (!durable)
        return turn_post(worker->server->workers[to]->turn, mail, DELIVERY_MAIL_MOST);
    if (durable->mail_count == durable->mail_capacity) {
        size_t capacity = durable->mail_capacity ? durable->mail_capacity * 2 : 64;
        struct durable_mail *list = realloc(durable->mail, capacity * sizeof *list);
        if (!list)
            return -ENOMEM;
        durable->mail = list;
        durable->mail_capacity = capacity;
    }
    durable->mail[durable->mail_count++] = (struct durable_mail){to, *mail};
    return 0;
}
