// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engines/raw.h"

#include "base/clock.h"
#include "loadgen/engines/raw_state.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WINDOW = 128,
    EVENTS = 256,
};
#define STALL_NS (250 * NS_PER_MS) // if a wait ends so late, this process was kept from running

// --- open and close ----------------------------------------------------------------------------------------

static int allocate(struct engine_run *run)
{
    run->window = run->config.window > 0 ? (uint32_t)run->config.window : WINDOW;
    run->clients = calloc((size_t)run->config.clients, sizeof *run->clients);
    run->connecting = calloc(run->window, sizeof *run->connecting);
    // A client is pinged after three quarters of its keep alive: one slot for each second of that.
    run->wheel_slots = run->config.keep_alive_s > 0 ? (uint32_t)run->config.keep_alive_s * 3 / 4 : 0;
    if (run->config.keep_alive_s > 0 && run->wheel_slots == 0)
        run->wheel_slots = 1;
    run->wheel = calloc((size_t)run->wheel_slots + 1, sizeof *run->wheel);
    run->identity = run->config.identity ? run->config.identity : identity_plain();
    run->texts = malloc(run->identity->texts_bytes);
    run->connect_packet = malloc(run->identity->packet_bytes);
    bool all = run->clients && run->connecting && run->wheel && run->texts && run->connect_packet;
    return all ? 0 : -ENOMEM;
}

static void raw_close(struct engine_run *run)
{
    if (!run)
        return;
    for (int64_t i = 0; run->clients && i < run->config.clients; i++)
        raw_forget(run, &run->clients[i]);
    if (run->epoll >= 0)
        close(run->epoll);
    free(run->clients);
    free(run->connecting);
    free(run->closed);
    free(run->wheel);
    free(run->gathered);
    free(run->texts);
    free(run->connect_packet);
    free(run);
}

static int raw_open(struct engine_run **run_out, const struct engine_config *config, struct err *err)
{
    struct engine_run *run = calloc(1, sizeof *run);
    if (!run)
        return err_set(err, -ENOMEM, "out of memory for the engine");
    run->config = *config;
    run->epoll = -1;
    run->read_per_s = ENGINE_READ_ALL;
    int code = allocate(run);
    if (code < 0) {
        err_set(err, code, "out of memory for %lld clients", (long long)config->clients);
        goto fail;
    }
    for (int64_t i = 0; i < config->clients; i++)
        run->clients[i].fd = -1;
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run->epoll < 0) {
        code = err_set(err, -errno, "cannot make an epoll set: %m");
        goto fail;
    }
    run->wheel_second = clock_now_ns() / NS_PER_S;
    *run_out = run;
    return 0;
fail:
    raw_close(run);
    return code;
}

// --- acts of the worker ------------------------------------------------------------------------------------

static int raw_connect(struct engine_run *run, int64_t number)
{
    struct raw_client *client = &run->clients[number];
    if (client->state != RAW_NEW && client->state != RAW_ENDED)
        return -EISCONN;
    client->state = RAW_QUEUED;
    client->started_ns = 0;
    client->ports_passed = 0;
    client->flags &= RAW_LINKED; // all others are of the connection before
    client->asked_id = 0;
    client->pings = 0;
    client->link = 0;
    if (run->queue_last)
        run->clients[run->queue_last - 1].link = (uint32_t)number + 1;
    else
        run->queue_first = (uint32_t)number + 1;
    run->queue_last = (uint32_t)number + 1;
    return 0;
}

static int64_t raw_begun_ns(const struct engine_run *run, int64_t number)
{
    return run->clients[number].started_ns;
}

static uint16_t next_packet_id(struct raw_client *client)
{
    do {
        if (++client->packet_id == 0)
            client->packet_id = 1;
    } while (client->packet_id == client->asked_id);
    return client->packet_id;
}

// The packet awaits an answer of this type. Most clients have one such packet at a time, which takes no memory of its own.
static int await_answer(struct raw_client *client, enum mqtt_packet_type answer, uint16_t packet_id)
{
    if (client->asked_id)
        return raw_flight_add(client,
                              &(struct raw_flight){.packet_id = packet_id, .awaits = (uint8_t)answer});
    client->asked_id = packet_id;
    client->flags =
        (uint8_t)(answer == MQTT_UNSUBACK ? client->flags | RAW_ASKS_UNSUB : client->flags & ~RAW_ASKS_UNSUB);
    return 0;
}

static int send_filter(struct engine_run *run, int64_t number, enum mqtt_packet_type type, const char *topic,
                       int qos)
{
    struct raw_client *client = &run->clients[number];
    if (client->state != RAW_OPEN)
        return -ENOTCONN;
    struct mqtt_subscription subscription = {.filter = mqtt_text_of(topic), .qos = (uint8_t)qos};
    size_t room = MQTT_HEADER_MAX + 5 + subscription.filter.bytes;
    uint8_t *packet;
    uint16_t packet_id = next_packet_id(client);
    int bytes = raw_gather(run, client, room, &packet);
    if (bytes == 0)
        bytes = mqtt_subscribe_encode(packet, room, type, packet_id, &subscription, 1);
    if (bytes < 0)
        return bytes;
    int code = await_answer(client, type == MQTT_SUBSCRIBE ? MQTT_SUBACK : MQTT_UNSUBACK, packet_id);
    if (code < 0)
        return code;
    raw_no_delay(client);
    raw_gathered(run, client, (size_t)bytes);
    return 0;
}

static int raw_subscribe(struct engine_run *run, int64_t number, const char *topic, int qos)
{
    return send_filter(run, number, MQTT_SUBSCRIBE, topic, qos);
}

static int raw_unsubscribe(struct engine_run *run, int64_t number, const char *topic)
{
    return send_filter(run, number, MQTT_UNSUBSCRIBE, topic, 0);
}

// Does the PUBLISH before this one, of the same client, have the same header?
static bool is_like_model(const struct engine_run *run, const struct raw_client *client,
                          const struct mqtt_publish *publish)
{
    if (run->gatherer != client || run->model.header_bytes == 0 || run->model.qos != publish->qos ||
        run->model.retain != publish->retain || run->model.payload_bytes != publish->payload.bytes ||
        run->model.header_bytes !=
            mqtt_publish_header_bytes(publish->topic.bytes, publish->payload.bytes, publish->qos))
        return false;
    size_t id_bytes = publish->qos > 0 ? 2 : 0;
    const uint8_t *topic =
        run->gathered + run->model.at + run->model.header_bytes - id_bytes - publish->topic.bytes;
    return memcmp(topic, publish->topic.data, publish->topic.bytes) == 0;
}

// Encodes the header of the first of several messages, and copies it for the others.
static int encode_publish(struct engine_run *run, struct raw_client *client, uint8_t *packet, size_t room,
                          const struct mqtt_publish *publish)
{
    size_t bytes;
    if (is_like_model(run, client, publish)) {
        bytes = run->model.header_bytes;
        mqtt_publish_copy_header(packet, run->gathered + run->model.at, bytes, publish->packet_id);
    } else {
        int header = mqtt_publish_encode_header(packet, room, publish);
        if (header < 0)
            return header;
        bytes = (size_t)header;
    }
    if (publish->payload.bytes > 0)
        memcpy(packet + bytes, publish->payload.data, publish->payload.bytes);
    run->model.at = (size_t)(packet - run->gathered);
    run->model.header_bytes = bytes;
    run->model.payload_bytes = publish->payload.bytes;
    run->model.qos = publish->qos;
    run->model.retain = publish->retain;
    return (int)(bytes + publish->payload.bytes);
}

static int raw_publish(struct engine_run *run, int64_t number, const struct engine_message *message)
{
    struct raw_client *client = &run->clients[number];
    if (client->state != RAW_OPEN)
        return -ENOTCONN;
    struct mqtt_publish publish = {
        .retain = message->retain,
        .qos = (uint8_t)message->qos,
        .packet_id = message->qos > 0 ? next_packet_id(client) : 0,
        .topic = mqtt_text_of(message->topic),
        .payload = {message->payload, message->payload_bytes},
    };
    size_t room = MQTT_HEADER_MAX + 4 + publish.topic.bytes + message->payload_bytes;
    uint8_t *packet;
    int code = raw_gather(run, client, room, &packet);
    if (code < 0)
        return code;
    if (message->qos > 0) {
        code = raw_flight_add(client,
                              &(struct raw_flight){.packet_id = publish.packet_id,
                                                   .awaits = message->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
                                                   .intended_ns = message->intended_ns,
                                                   .sent_ns = message->sent_ns});
        if (code < 0)
            return code;
    }
    int bytes = encode_publish(run, client, packet, room, &publish);
    if (bytes < 0) {
        struct raw_flight unsent;
        if (message->qos > 0)
            (void)!raw_flight_take(client, publish.packet_id, &unsent);
        return bytes;
    }
    raw_no_delay(client);
    raw_gathered(run, client, (size_t)bytes);
    return 0;
}

static int raw_ping(struct engine_run *run, int64_t number)
{
    struct raw_client *client = &run->clients[number];
    if (client->state != RAW_OPEN)
        return -ENOTCONN;
    client->flags |= RAW_PING_ASKED;
    return raw_ask_for_pong(run, client);
}

// Sends what was gathered for the client, and how it leaves.
static void say_goodbye(struct engine_run *run, struct raw_client *client, enum leave how)
{
    static const uint8_t disconnect[] = {MQTT_DISCONNECT << 4, 0};
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (how == LEAVE_DISCONNECT)
        (void)!raw_send(run, client, disconnect, sizeof disconnect);
    raw_flush(run);
    if (how == LEAVE_RST)
        (void)!setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static int raw_close_client(struct engine_run *run, int64_t number, enum leave how)
{
    struct raw_client *client = &run->clients[number];
    if (client->state != RAW_OPEN)
        return -ENOTCONN;
    if (run->closed_count == run->closed_capacity) {
        uint32_t capacity = run->closed_capacity ? run->closed_capacity * 2 : 64;
        uint32_t *closed = realloc(run->closed, capacity * sizeof *closed);
        if (!closed)
            return -ENOMEM;
        run->closed = closed;
        run->closed_capacity = capacity;
    }
    say_goodbye(run, client, how);
    raw_forget(run, client);
    client->state = RAW_CLOSING;
    run->closed[run->closed_count++] = (uint32_t)number;
    return 0;
}

static void raw_bytes(const struct engine_run *run, int64_t *sent, int64_t *received)
{
    *sent = run->sent_bytes;
    *received = run->received_bytes;
}

// --- events ------------------------------------------------------------------------------------------------

static void tell_closed(struct engine_run *run)
{
    run->now_ns = clock_now_ns();
    // The listener may close more clients: these are reported too.
    for (uint32_t i = 0; i < run->closed_count; i++) {
        struct raw_client *client = &run->clients[run->closed[i]];
        client->state = RAW_ENDED;
        raw_tell(run, client, (struct engine_event){.kind = ENGINE_CLOSED});
    }
    run->closed_count = 0;
}

static void handle(struct engine_run *run, const struct epoll_event *event)
{
    struct raw_client *client = &run->clients[event->data.u32];
    // The listener has closed it in an earlier event of this batch.
    if (client->fd < 0)
        return;
    if (client->state == RAW_TCP) {
        run->now_ns = clock_now_ns();
        raw_finish_tcp(run, client);
        return;
    }
    if (event->events & EPOLLOUT)
        raw_writable(run, client);
    if (client->fd >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
        raw_readable(run, client);
}

// Waits with nanosecond precision and SIGUSR1 unblocked. Where epoll_pwait2 is refused, ppoll does both.
static int wait_for_events(struct engine_run *run, struct epoll_event *events, int64_t until_ns)
{
    sigset_t mask;
    engine_wait_mask(&mask);
    struct timespec left = engine_wait_time(until_ns);
    if (!run->no_pwait2) {
        int count = epoll_pwait2(run->epoll, events, EVENTS, &left, &mask);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        run->no_pwait2 = true;
    }
    struct pollfd ready = {.fd = run->epoll, .events = POLLIN};
    if (ppoll(&ready, 1, &left, &mask) < 0)
        return -1;
    return epoll_wait(run->epoll, events, EVENTS, 0);
}

static void raw_step(struct engine_run *run, int64_t until_ns)
{
    run->now_ns = clock_now_ns();
    run->told = false;
    raw_look_at_time(run, run->now_ns);
    raw_read_slowly(run, run->now_ns);
    if (run->closed_count > 0)
        tell_closed(run);
    raw_start_queued(run);
    raw_flush(run);
    // After an event, such as a connect that failed at once, the caller may have nothing left to wait for.
    if (run->told)
        until_ns = 0;
    int64_t time_ns = raw_next_time(run);
    if (time_ns < until_ns)
        until_ns = time_ns;
    if (raw_next_slow_read(run) < until_ns)
        until_ns = raw_next_slow_read(run);
    struct epoll_event events[EVENTS];
    int count = wait_for_events(run, events, until_ns);
    run->now_ns = clock_now_ns();
    if (until_ns > 0 && run->now_ns - until_ns > STALL_NS)
        run->grace_ns = run->now_ns + (run->now_ns - until_ns);
    for (int i = 0; i < count; i++)
        handle(run, &events[i]);
    raw_flush(run);
}

const struct engine engine_raw = {
    .name = "raw",
    .summary = "our own epoll loop: one thread a process, a small struct a client",
    .caps = ENGINE_CAP_BIND | ENGINE_CAP_PING | ENGINE_CAP_CUT,
    .clients = 18000,
    .clients_max = 1000000,
    .tokens = 3,
    .client_bytes = 128,
    .process_bytes = 2 << 20,
    .process_threads = 1,
    .open = raw_open,
    .connect = raw_connect,
    .begun_ns = raw_begun_ns,
    .subscribe = raw_subscribe,
    .unsubscribe = raw_unsubscribe,
    .publish = raw_publish,
    .flush = raw_flush,
    .read_at = raw_read_at,
    .bytes = raw_bytes,
    .ping = raw_ping,
    .close_client = raw_close_client,
    .step = raw_step,
    .close = raw_close,
};
