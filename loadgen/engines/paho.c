// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engines/paho.h"

#include "base/clock.h"
#include "loadgen/engines/paho_queue.h"
#include "loadgen/engines/paho_reading.h"
#include "loadgen/engines/paho_waker.h"
#include "loadgen/topic_mark.h"

#include <MQTTAsync.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// 500 clients at once in 16 processes at a time connect a third faster, but the median connect takes 300 ms,
// most of it waiting for the others. With a window of 64 in 6 processes at a time it takes 19 ms.
enum { WINDOW = 64 };

enum client_state { IDLE, QUEUED, CONNECTING, OPEN, ENDED };

struct paho_client {
    struct engine_run *run;
    MQTTAsync handle; // NULL until the first connect
    int64_t started_ns;
    // Owned by the calling thread: changed by calls, and by events when `step` reports them.
    enum client_state state;
    // Its connection was lost, or a connect failed. The library may still have a command to end that, which would
    // end the next connect: that takes a new handle.
    bool renew;
};

struct engine_run {
    struct engine_config config;
    struct paho_client *clients;
    struct paho_queue *queue; // events of the library's threads
    struct paho_waker waker;
    const struct identity *identity;
    char *texts; // of the client being connected
    struct paho_reading reading;
    int64_t connecting, window; // connects under way, and how many may be
    // Clients in the order of their connects, a ring: those from head to tail have yet to begin.
    uint32_t *waiting;
    int64_t queue_head, queue_tail;
};

static int64_t number_of(const struct paho_client *client)
{
    return client - client->run->clients;
}

static void push(struct paho_client *client, struct engine_event event)
{
    event.client = number_of(client);
    event.at_ns = clock_now_ns();
    paho_queue_push(client->run->queue, &event);
}

// --- callbacks, on the library's own threads ---------------------------------------------------------------

static void on_connected(void *context, MQTTAsync_successData *data)
{
    struct paho_client *client = context;
    push(client, (struct engine_event){.kind = ENGINE_CONNECTED,
                                       .started_ns = client->started_ns,
                                       .session_present = data && data->alt.connect.sessionPresent});
}

static void on_connect_failed(void *context, MQTTAsync_failureData *data)
{
    enum tally_reason reason = REASON_UNTOLD;
    if (data && data->code >= 1 && data->code <= 5)
        reason = tally_reason_of_connack(data->code);
    else if (data && data->message && strstr(data->message, "timeout"))
        reason = REASON_TIMEOUT;
    struct paho_client *client = context;
    push(client,
         (struct engine_event){.kind = ENGINE_FAILED, .reason = reason, .started_ns = client->started_ns});
}

static void on_lost(void *context, char *cause)
{
    (void)cause;
    push(context, (struct engine_event){.kind = ENGINE_DROPPED, .reason = REASON_LOST});
}

static int on_message(void *context, char *topic, int topic_bytes, MQTTAsync_message *message)
{
    struct paho_client *client = context;
    size_t bytes = topic_bytes > 0 ? (size_t)topic_bytes : strlen(topic); // 0 for a topic without NUL
    paho_reading_await(&client->run->reading, (int64_t)bytes + message->payloadlen);
    struct engine_event event = {.kind = ENGINE_MESSAGE,
                                 .topic = topic_mark(topic, bytes),
                                 .qos = message->qos,
                                 .retained = message->retained};
    if (message->payloadlen > 0)
        event.content = payload_form_read(client->run->config.payloads, message->payload,
                                          (size_t)message->payloadlen, &event.payload);
    push(context, event);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    bool refused = data && data->alt.qos == 0x80;
    push(context, (struct engine_event){.kind = refused ? ENGINE_REFUSED : ENGINE_SUBSCRIBED,
                                        .qos = data && !refused ? data->alt.qos : 0,
                                        .reason = refused ? REASON_SUBSCRIBE_REFUSED : REASON_NONE});
}

static void on_subscribe_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    push(context, (struct engine_event){.kind = ENGINE_REFUSED, .reason = REASON_SUBSCRIBE_REFUSED});
}

static void on_unsubscribed(void *context, MQTTAsync_successData *data)
{
    (void)data;
    push(context, (struct engine_event){.kind = ENGINE_UNSUBSCRIBED});
}

static void on_unsubscribe_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    push(context, (struct engine_event){.kind = ENGINE_REFUSED, .reason = REASON_LOST});
}

static void on_sent(void *context, MQTTAsync_successData *data)
{
    struct paho_sent *sent = context;
    struct paho_client *client = sent->client;
    if (data && data->alt.pub.message.qos > 0)
        push(client, (struct engine_event){.kind = ENGINE_ACKED,
                                           .intended_ns = sent->intended_ns,
                                           .started_ns = sent->sent_ns});
    paho_queue_put_sent(client->run->queue, sent);
}

// The connection ended first. on_lost reports that; the counts show the missing acknowledgement.
static void on_send_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    struct paho_sent *sent = context;
    struct paho_client *client = sent->client;
    paho_queue_put_sent(client->run->queue, sent);
}

static void on_closed(void *context, MQTTAsync_successData *data)
{
    (void)data;
    push(context, (struct engine_event){.kind = ENGINE_CLOSED});
}

static void on_close_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    push(context, (struct engine_event){.kind = ENGINE_CLOSED});
}

// --- calls of the worker -----------------------------------------------------------------------------------

// Many processes share the machine, and each has two threads of the library. So stacks are small, and malloc
// has one arena. Sanitizers need much room on each stack, so their builds keep the default size.
static void be_small(void)
{
    mallopt(M_ARENA_MAX, 1);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    pthread_attr_t attr;
    if (pthread_getattr_default_np(&attr) == 0) {
        pthread_attr_setstacksize(&attr, 128 * 1024);
        pthread_setattr_default_np(&attr);
        pthread_attr_destroy(&attr);
    }
#endif
}

static int paho_open(struct engine_run **run_out, const struct engine_config *config, struct err *err)
{
    struct engine_run *run = calloc(1, sizeof *run);
    int code = -ENOMEM;
    if (!run)
        return err_set(err, code, "out of memory for the engine");
    run->config = *config;
    run->clients = calloc((size_t)config->clients, sizeof *run->clients);
    run->waiting = calloc((size_t)config->clients, sizeof *run->waiting);
    run->identity = config->identity ? config->identity : identity_plain();
    run->texts = malloc(run->identity->texts_bytes);
    run->window = config->window > 0 ? config->window : WINDOW;
    if (!run->clients || !run->waiting || !run->texts) {
        err_set(err, code, "out of memory for %lld clients", (long long)config->clients);
        goto fail_clients;
    }
    for (int64_t i = 0; i < config->clients; i++)
        run->clients[i].run = run;
    be_small();
    code = paho_queue_open(&run->queue, err);
    if (code < 0)
        goto fail_clients;
    char id[48];
    snprintf(id, sizeof id, "%s-waker-%lld", config->prefix, (long long)config->first);
    paho_reading_open(&run->reading);
    paho_waker_open(&run->waker, id);
    *run_out = run;
    return 0;
fail_clients:
    free(run->texts);
    free(run->clients);
    free(run->waiting);
    free(run);
    return code;
}

// `id`: its client identifier.
static int create(struct engine_run *run, struct paho_client *client, const char *id)
{
    struct plan_route route = plan_route(run->config.plan, run->config.first + number_of(client));
    int code = MQTTAsync_create(&client->handle, route.target->uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL);
    if (code != MQTTASYNC_SUCCESS) {
        client->handle = NULL;
        return -ENOMEM;
    }
    code = MQTTAsync_setCallbacks(client->handle, client, on_lost, on_message, NULL);
    return code == MQTTASYNC_SUCCESS ? 0 : -EINVAL;
}

// The library copies all of it.
static void set_who(MQTTAsync_connectOptions *options, MQTTAsync_willOptions *will,
                    const struct mqtt_connect *who)
{
    if (who->has_user_name)
        options->username = who->user_name.data;
    if (who->has_password) {
        options->binarypwd.data = who->password.data;
        options->binarypwd.len = (int)who->password.bytes;
    }
    if (!who->has_will)
        return;
    will->topicName = who->will_topic.data;
    will->payload.data = who->will_message.data;
    will->payload.len = (int)who->will_message.bytes;
    will->qos = who->will_qos;
    will->retained = who->will_retain;
    options->will = will;
}

static int begin_connect(struct engine_run *run, struct paho_client *client)
{
    if (client->handle && client->renew)
        MQTTAsync_destroy(&client->handle);
    client->renew = false;
    struct mqtt_connect who;
    identity_fill(run->identity, run->config.prefix, run->config.first + number_of(client), run->texts, &who);
    int code = client->handle ? 0 : create(run, client, who.client_id.data);
    if (code < 0)
        return code;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    options.keepAliveInterval = run->config.keep_alive_s;
    options.cleansession = !run->config.keep_sessions;
    options.connectTimeout = (int)((run->config.timeout_ns + NS_PER_S - 1) / NS_PER_S);
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.onSuccess = on_connected;
    options.onFailure = on_connect_failed;
    options.context = client;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    set_who(&options, &will, &who);
    return MQTTAsync_connect(client->handle, &options) == MQTTASYNC_SUCCESS ? 0 : -EINVAL;
}

// Begins as many connects as the window has room for.
static void start_queued(struct engine_run *run)
{
    while (run->queue_head < run->queue_tail && run->connecting < run->window &&
           !paho_reading_is_slow(&run->reading)) {
        struct paho_client *client = &run->clients[run->waiting[run->queue_head++ % run->config.clients]];
        client->state = CONNECTING;
        client->started_ns = clock_now_ns();
        run->connecting++;
        int code = begin_connect(run, client);
        if (code < 0)
            push(client, (struct engine_event){.kind = ENGINE_FAILED,
                                               .reason = tally_reason_of_errno(code),
                                               .started_ns = client->started_ns});
        paho_waker_connecting(&run->waker, client->started_ns);
    }
}

static int paho_connect(struct engine_run *run, int64_t number)
{
    struct paho_client *client = &run->clients[number];
    if (client->state != IDLE && client->state != ENDED)
        return -EISCONN;
    client->state = QUEUED;
    client->started_ns = 0;
    run->waiting[run->queue_tail++ % run->config.clients] = (uint32_t)number;
    start_queued(run);
    return 0;
}

static int64_t paho_begun_ns(const struct engine_run *run, int64_t number)
{
    return run->clients[number].started_ns;
}

static int paho_subscribe(struct engine_run *run, int64_t number, const char *topic, int qos)
{
    struct paho_client *client = &run->clients[number];
    if (client->state != OPEN)
        return -ENOTCONN;
    if (paho_reading_is_slow(&run->reading))
        return -EAGAIN;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onSuccess = on_subscribed;
    options.onFailure = on_subscribe_failed;
    options.context = client;
    paho_waker_active(&run->waker, clock_now_ns());
    return MQTTAsync_subscribe(client->handle, topic, qos, &options) == MQTTASYNC_SUCCESS ? 0 : -ENOTCONN;
}

static int paho_unsubscribe(struct engine_run *run, int64_t number, const char *topic)
{
    struct paho_client *client = &run->clients[number];
    if (client->state != OPEN)
        return -ENOTCONN;
    if (paho_reading_is_slow(&run->reading))
        return -EAGAIN;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onSuccess = on_unsubscribed;
    options.onFailure = on_unsubscribe_failed;
    options.context = client;
    paho_waker_active(&run->waker, clock_now_ns());
    return MQTTAsync_unsubscribe(client->handle, topic, &options) == MQTTASYNC_SUCCESS ? 0 : -ENOTCONN;
}

static int paho_publish(struct engine_run *run, int64_t number, const struct engine_message *message)
{
    struct paho_client *client = &run->clients[number];
    if (client->state != OPEN)
        return -ENOTCONN;
    if (paho_reading_is_slow(&run->reading))
        return -EAGAIN;
    struct paho_sent *sent = paho_queue_get_sent(run->queue, message->payload_bytes);
    if (!sent)
        return -EAGAIN;
    sent->client = client;
    sent->intended_ns = message->intended_ns;
    sent->sent_ns = message->sent_ns;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onSuccess = on_sent;
    options.onFailure = on_send_failed;
    options.context = sent;
    int code = MQTTAsync_send(client->handle, message->topic, (int)message->payload_bytes, message->payload,
                              message->qos, message->retain, &options);
    if (code == MQTTASYNC_SUCCESS) {
        paho_waker_active(&run->waker, message->sent_ns);
        return 0;
    }
    paho_queue_put_sent(run->queue, sent);
    return code == MQTTASYNC_DISCONNECTED ? -ENOTCONN : -EAGAIN;
}

static int paho_close_client(struct engine_run *run, int64_t number, enum leave how)
{
    struct paho_client *client = &run->clients[number];
    if (client->state != OPEN)
        return -ENOTCONN;
    if (how != LEAVE_DISCONNECT)
        return -EOPNOTSUPP;
    if (paho_reading_is_slow(&run->reading))
        return -EAGAIN;
    paho_waker_active(&run->waker, clock_now_ns());
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    options.onSuccess = on_closed;
    options.onFailure = on_close_failed;
    options.context = client;
    return MQTTAsync_disconnect(client->handle, &options) == MQTTASYNC_SUCCESS ? 0 : -ENOTCONN;
}

static void paho_read_at(struct engine_run *run, int64_t bytes_per_s)
{
    // All clients share the thread that reads.
    paho_reading_set(&run->reading, bytes_per_s > 0 ? bytes_per_s * run->config.clients : bytes_per_s);
}

static void paho_expect(struct engine_run *run)
{
    paho_waker_active(&run->waker, clock_now_ns());
}

// The library may report an end twice (lost while it was being closed): the first report counts. A second one
// that comes after the client has connected again is older than that connect.
static bool admit(struct paho_client *client, const struct engine_event *event)
{
    enum engine_event_kind kind = event->kind;
    switch (kind) {
    case ENGINE_CONNECTED:
    case ENGINE_FAILED:
        if (client->state != CONNECTING)
            return false;
        client->run->connecting--;
        client->renew = kind == ENGINE_FAILED;
        client->state = kind == ENGINE_CONNECTED ? OPEN : ENDED;
        return true;
    case ENGINE_DROPPED:
    case ENGINE_CLOSED:
        if (client->state != OPEN || event->at_ns < client->started_ns)
            return false;
        client->renew = kind == ENGINE_DROPPED;
        client->state = ENDED;
        return true;
    default:
        return true;
    }
}

static void paho_step(struct engine_run *run, int64_t until_ns)
{
    size_t count;
    start_queued(run);
    bool slow = paho_reading_is_slow(&run->reading); // then the library must not be called
    int64_t wake_ns = slow ? INT64_MAX : paho_waker_tick(&run->waker, clock_now_ns(), run->connecting);
    if (wake_ns < until_ns)
        until_ns = wake_ns;
    const struct engine_event *events = paho_queue_take(run->queue, until_ns, &count);
    for (size_t i = 0; i < count; i++)
        if (admit(&run->clients[events[i].client], &events[i]))
            run->config.listener(run->config.context, &events[i]);
}

static void paho_close(struct engine_run *run)
{
    if (!run)
        return;
    paho_reading_set(&run->reading, ENGINE_READ_ALL);
    // The last destroy stops the library's threads.
    paho_waker_close(&run->waker);
    for (int64_t i = 0; i < run->config.clients; i++)
        if (run->clients[i].handle)
            MQTTAsync_destroy(&run->clients[i].handle);
    paho_reading_close(&run->reading);
    paho_queue_close(run->queue);
    free(run->texts);
    free(run->clients);
    free(run->waiting);
    free(run);
}

static const char *paho_library(void)
{
    for (MQTTAsync_nameValue *info = MQTTAsync_getVersionInfo(); info && info->name; info++)
        if (strcmp(info->name, "Version") == 0)
            return info->value;
    return "unknown";
}

const struct engine engine_paho = {
    .name = "paho",
    .summary = "paho.mqtt.c, MQTTAsync: a client library with two threads a process",
    .caps = ENGINE_CAP_RESTLESS,
    .clients = 500,
    .clients_max = 2000,
    .tokens = 6,
    .client_bytes = 3700,
    .process_bytes = 1800000,
    .process_threads = 3,
    .library = paho_library,
    .open = paho_open,
    .connect = paho_connect,
    .begun_ns = paho_begun_ns,
    .subscribe = paho_subscribe,
    .unsubscribe = paho_unsubscribe,
    .publish = paho_publish,
    .close_client = paho_close_client,
    .read_at = paho_read_at,
    .expect = paho_expect,
    .step = paho_step,
    .close = paho_close,
};
