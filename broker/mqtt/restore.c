// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/restore.h"

#include "base/clock.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable_gate.h"
#include "broker/mqtt/message.h"
#include "wire/mqtt_text.h"

#include <errno.h>
#include <stdlib.h>

// What numbers name, in rising order. A message has a reference here until all is restored.
struct named {
    int64_t number;
    void *object; // NULL: gone
};

struct names {
    struct named *list;
    size_t count, capacity;
};

struct restoring {
    struct server *server;
    const char *path;
    struct names messages, sessions;
    struct names wills; // numbers only
    int64_t now_s;
};

static int no_memory(const struct restoring *restoring, struct err *err)
{
    return err_set(
        err, -ENOMEM,
        "--state %s: the sessions and messages in the file do not fit into the memory that the broker "
        "may use; give a larger --memory-limit, or a larger --max for the pools",
        restoring->path);
}

static int damaged(const struct restoring *restoring, struct err *err, const char *what)
{
    return err_set(err, -EUCLEAN, "--state %s: the file is damaged (%s) and was left as it is",
                   restoring->path, what);
}

static int add_name(const struct restoring *restoring, struct names *names, int64_t number, void *object,
                    struct err *err)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        struct named *list = realloc(names->list, capacity * sizeof *list);
        if (!list)
            return no_memory(restoring, err);
        names->list = list;
        names->capacity = capacity;
    }
    names->list[names->count++] = (struct named){number, object};
    return 0;
}

static int compare(const void *key, const void *element)
{
    int64_t number = *(const int64_t *)key, other = ((const struct named *)element)->number;
    return number < other ? -1 : number > other;
}

static struct named *find(const struct names *names, int64_t number)
{
    return names->count ? bsearch(&number, names->list, names->count, sizeof names->list[0], compare) : NULL;
}

static void *named(const struct names *names, int64_t number)
{
    const struct named *found = find(names, number);
    return found ? found->object : NULL;
}

static struct mqtt_text text_of(const struct state_act *act)
{
    return (struct mqtt_text){act->text, act->text_bytes};
}

static struct worker *owner_of(const struct server *server, const struct session *session)
{
    return server->workers[session->owner];
}

static bool is_text(const struct state_act *act, enum mqtt_error (*check)(struct mqtt_text text))
{
    return act->text_bytes > 0 && act->text_bytes <= MQTT_TEXT_MAX && check(text_of(act)) == MQTT_OK;
}

static int restore_message(struct restoring *restoring, const struct state_act *act, struct err *err)
{
    struct server *server = restoring->server;
    struct mqtt_bytes payload = {act->payload, act->payload_bytes};
    enum { LENGTH_AND_ID = 4 };
    if (act->message == 0 || !is_text(act, mqtt_topic_name_check))
        return damaged(restoring, err, "a message has no valid topic");
    if (act->text_bytes + (uint64_t)act->payload_bytes + LENGTH_AND_ID > MQTT_REMAINING_MAX)
        return damaged(restoring, err, "a message is longer than a packet");
    struct message *message = message_new_stored(&server->stores.messages, text_of(act), payload, act->qos,
                                                 act->retain, server->state);
    if (!message)
        return no_memory(restoring, err);
    message_set_number(message, act->message);
    int code = add_name(restoring, &restoring->messages, act->message, message, err);
    if (code < 0)
        message_unref(message);
    return code;
}

// An older session of the same client: its end was not durable when the newer one was.
static void end_older(struct restoring *restoring, struct mqtt_text id)
{
    struct session_table *table = restoring->server->sessions;
    struct session_found found = session_table_find(table, id, 0);
    found = session_table_find(table, id, (uint16_t)found.owner);
    find(&restoring->sessions, session_number(found.session))->object = NULL;
    server_end_session(restoring->server, found.session);
}

static int restore_session(struct restoring *restoring, const struct state_act *act, struct err *err)
{
    struct server *server = restoring->server;
    const struct worker *worker = server->workers[restoring->sessions.count % (size_t)server->worker_count];
    if (act->session == 0 || !is_text(act, mqtt_text_check))
        return damaged(restoring, err, "a session has no valid client id");
    struct session *session =
        session_new_stored(&server->stores.arenas, NULL, text_of(act), worker->index, act->session);
    if (!session)
        return no_memory(restoring, err);
    int code = session_table_insert(server->sessions, session);
    if (code == -EEXIST) {
        end_older(restoring, text_of(act));
        code = session_table_insert(server->sessions, session);
    }
    if (code < 0) {
        session_unref(session, &server->stores.arenas);
        return no_memory(restoring, err);
    }
    // Ticks count from the start of the loop; earlier ones are negative, and wrap as in expiry.c. Who was connected
    // when the broker ended counts from now.
    int64_t away_s = act->value > 0 && act->value < restoring->now_s ? restoring->now_s - act->value : 0;
    int64_t most_s = INT32_MAX / TIMER_TICKS_PER_S;
    session->away_tick = 0 - (uint32_t)((away_s < most_s ? away_s : most_s) * TIMER_TICKS_PER_S);
    return add_name(restoring, &restoring->sessions, act->session, session, err);
}

// Its session is gone: another loop noted the row when the end of the session was under way.
static int drop_row(const struct restoring *restoring, const struct state_act *row, enum state_kind kind)
{
    struct state_act act = *row;
    act.kind = (uint8_t)kind;
    state_note(&restoring->server->workers[0]->durable->batch, &act);
    return 0;
}

static int restore_subscription(struct restoring *restoring, const struct state_act *act, struct err *err)
{
    struct session *session = named(&restoring->sessions, act->session);
    if (!session)
        return drop_row(restoring, act, STATE_UNSUBSCRIBE);
    if (!is_text(act, mqtt_topic_filter_check))
        return damaged(restoring, err, "a subscription has no valid topic filter");
    struct server *server = restoring->server;
    int code = topics_subscribe(server->topics, &session->subscriber, text_of(act), act->qos);
    if (code >= 0 && act->retain) { // the replay begins anew
        struct session_flow *flow = worker_flow(owner_of(server, session), session);
        code = flow ? replays_add(&flow->replays, &server->account, text_of(act), act->qos) : -ENOMEM;
    }
    return code < 0 ? no_memory(restoring, err) : 0;
}

static void drop_delivery(struct restoring *restoring, const struct session *session, int64_t number,
                          int code)
{
    struct worker *worker = owner_of(restoring->server, session);
    durable_delivered(worker, session, number);
    if (code < 0)
        worker_count_dropped(worker, code);
}

// Puts it in flight or in the queue. 0, or that of session_flow.h.
static int put_delivery(struct session_flow *flow, const struct delivery *delivery, bool is_queued)
{
    if (!is_queued)
        return flow_inflight_restore(flow, delivery);
    int code = flow_queue_push(flow, delivery->message, delivery->qos, delivery->retain);
    if (code == 0)
        flow_queue_back(flow)->number = delivery->number;
    return code;
}

// A message is gone when nothing needs it. So a sent delivery of QoS 2 without one got its PUBREC.
static int restore_delivery(struct restoring *restoring, const struct state_act *act, struct err *err)
{
    struct session *session = named(&restoring->sessions, act->session);
    struct message *message = named(&restoring->messages, act->message);
    bool is_queued = act->stage == STATE_QUEUED;
    if (!session)
        return drop_row(restoring, act, STATE_DELIVERY_END);
    struct delivery delivery = {.number = act->delivery,
                                .packet_id = act->packet_id,
                                .qos = act->qos,
                                .retain = act->retain,
                                .dup = true,
                                .stage = DELIVERY_UNSENT};
    bool is_released =
        act->stage == STATE_RELEASED || (act->stage == STATE_SENT && !message && act->qos == 2);
    if (act->delivery == 0 || act->qos == 0 || (!is_queued && act->packet_id == 0) ||
        (act->stage == STATE_RELEASED && act->qos != 2))
        return damaged(restoring, err, "a delivery has no number, QoS or packet id");
    if (!message && !is_released) {
        drop_delivery(restoring, session, act->delivery, 0);
        return 0;
    }
    if (is_released)
        delivery.stage = DELIVERY_RELEASE;
    else
        delivery.message = message;
    struct session_flow *flow = worker_flow(owner_of(restoring->server, session), session);
    if (!flow)
        return no_memory(restoring, err);
    if (!is_queued && flow_inflight_find(flow, act->packet_id))
        return damaged(restoring, err, "two deliveries of a client have one packet id");
    int code = put_delivery(flow, &delivery, is_queued);
    if (code == -ENOMEM)
        return no_memory(restoring, err);
    if (code < 0)
        drop_delivery(restoring, session, act->delivery, -EDQUOT);
    flow->needs_restart = flow->inflight_count > 0;
    session_flow_done(session);
    return 0;
}

static int restore_received(struct restoring *restoring, const struct state_act *act, struct err *err)
{
    struct session *session = named(&restoring->sessions, act->session);
    if (!session)
        return drop_row(restoring, act, STATE_RECEIVED_END);
    if (act->packet_id == 0)
        return damaged(restoring, err, "a received packet has no id");
    struct session_flow *flow = worker_flow(owner_of(restoring->server, session), session);
    return !flow || flow_received_add(flow, act->packet_id) < 0 ? no_memory(restoring, err) : 0;
}

static int restore_retained(struct restoring *restoring, const struct state_act *act, struct err *err)
{
    struct server *server = restoring->server;
    struct message *message = named(&restoring->messages, act->message);
    struct state_act end = {.kind = STATE_RETAIN_END, .text = act->text, .text_bytes = act->text_bytes};
    struct state_batch *batch = &server->workers[0]->durable->batch;
    if (!message) {
        state_note(batch, &end);
        return 0;
    }
    if (!mqtt_text_equal(message_topic(message), text_of(act)) || message->payload_bytes == 0)
        return damaged(restoring, err, "a retained message is that of another topic");
    int code = server->has_retained ? retained_set(server->retained, text_of(act), message) : -ENOSPC;
    if (code == -ENOMEM)
        return no_memory(restoring, err);
    if (code < 0) {
        state_note(batch, &end);
        worker_count_dropped(server->workers[0], code);
    }
    return 0;
}

static int on_row(void *context, const struct state_act *act, struct err *err)
{
    struct restoring *restoring = context;
    switch ((enum state_kind)act->kind) {
    case STATE_MESSAGE:
        return restore_message(restoring, act, err);
    case STATE_SESSION:
        return restore_session(restoring, act, err);
    case STATE_SUBSCRIBE:
        return restore_subscription(restoring, act, err);
    case STATE_DELIVERY:
        return restore_delivery(restoring, act, err);
    case STATE_RECEIVED:
        return restore_received(restoring, act, err);
    case STATE_RETAIN:
        return restore_retained(restoring, act, err);
    case STATE_WILL:
        return add_name(restoring, &restoring->wills, act->message, NULL, err);
    default:
        return 0;
    }
}

// Worker 0 publishes them; messages for sessions of other workers wait in their mailboxes.
static void publish_wills(struct restoring *restoring)
{
    struct worker *worker = restoring->server->workers[0];
    for (size_t i = 0; i < restoring->wills.count; i++) {
        int64_t number = restoring->wills.list[i].number;
        struct message *will = named(&restoring->messages, number);
        if (will) {
            int code = delivery_route(worker, will);
            if (code < 0)
                worker_count_dropped(worker, code);
            broker_count(&worker->counters.wills_published, 1);
        }
        state_note(&worker->durable->batch, &(struct state_act){.kind = STATE_WILL_END, .message = number});
    }
}

// Messages that nobody has taken are forgotten with their last reference.
static void release_messages(struct restoring *restoring)
{
    for (size_t i = 0; i < restoring->messages.count; i++)
        message_unref(restoring->messages.list[i].object);
}

int restore(struct server *server, const char *path, struct err *err)
{
    struct restoring restoring = {.server = server, .path = path, .now_s = clock_wall_ns() / NS_PER_S};
    int code = state_read(server->state, on_row, &restoring, err);
    if (code == 0)
        code = state_start(server->state, err);
    if (code == 0)
        publish_wills(&restoring);
    else
        state_abandon(server->state);
    release_messages(&restoring);
    free(restoring.messages.list);
    free(restoring.sessions.list);
    free(restoring.wills.list);
    for (int i = 0; code == 0 && i < server->worker_count; i++)
        durable_publish(server->workers[i]);
    if (code == 0 && !state_commit_all(server->state)) {
        struct state_statistics statistics;
        state_statistics(server->state, &statistics);
        code = err_set(err, -EIO, "--state %s: cannot write the file: %s", path,
                       statistics.reason ? statistics.reason : "out of memory");
        state_abandon(server->state);
    }
    return code;
}
