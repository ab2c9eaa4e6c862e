// SPDX-License-Identifier: Apache-2.0
#include "loadgen/responder.h"

#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PEERS_MAX = 4096,
    TOPIC_MAX = 128,
    IN_BYTES = 65536, // the longest packet
    EVENTS = 64,
    LISTENER = PEERS_MAX,
    WORD = PEERS_MAX + 1,
};

struct peer {
    int fd; // -1: free
    uint16_t packet_id;
    uint8_t qos;
    char topic[TOPIC_MAX]; // subscribed to; "" for none
    uint8_t *in;
    size_t in_bytes;
};

struct responder {
    struct responder_config config;
    int listener, epoll, word; // word: an eventfd that notifies of stop and drop
    uint16_t port;
    _Atomic bool stop, drop; // relaxed: the eventfd orders them
    int64_t published;
    struct peer peers[PEERS_MAX];
    uint8_t out[IN_BYTES + 64];
};

static int watch(struct responder *responder, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};
    return epoll_ctl(responder->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int listen_here(struct responder *responder)
{
    responder->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    if (responder->listener < 0 || bind(responder->listener, (struct sockaddr *)&address, bytes) < 0 ||
        listen(responder->listener, 1024) < 0 ||
        getsockname(responder->listener, (struct sockaddr *)&address, &bytes) < 0)
        return -errno;
    responder->port = ntohs(address.sin_port);
    return 0;
}

int responder_open(struct responder **responder_out, const struct responder_config *config, struct err *err)
{
    struct responder *responder = calloc(1, sizeof *responder);
    if (!responder)
        return err_set(err, -ENOMEM, "out of memory for a responder");
    responder->config = *config;
    responder->listener = -1;
    for (int i = 0; i < PEERS_MAX; i++)
        responder->peers[i].fd = -1;
    responder->epoll = epoll_create1(EPOLL_CLOEXEC);
    responder->word = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int code = responder->epoll < 0 || responder->word < 0 ? -errno : listen_here(responder);
    if (code == 0)
        code = watch(responder, responder->listener, LISTENER);
    if (code == 0)
        code = watch(responder, responder->word, WORD);
    if (code < 0) {
        err_set(err, code, "cannot make a peer that answers: %s", strerror(-code));
        responder_close(responder);
        return code;
    }
    *responder_out = responder;
    return 0;
}

uint16_t responder_port(const struct responder *responder)
{
    return responder->port;
}

static void say(struct responder *responder)
{
    (void)!eventfd_write(responder->word, 1);
}

void responder_stop(struct responder *responder)
{
    atomic_store_explicit(&responder->stop, true, memory_order_relaxed);
    say(responder);
}

void responder_drop(struct responder *responder)
{
    atomic_store_explicit(&responder->drop, true, memory_order_relaxed);
    say(responder);
}

static void end_peer(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    free(peer->in);
    *peer = (struct peer){.fd = -1};
}

void responder_close(struct responder *responder)
{
    if (!responder)
        return;
    for (int i = 0; i < PEERS_MAX; i++)
        end_peer(&responder->peers[i]);
    if (responder->listener >= 0)
        close(responder->listener);
    if (responder->epoll >= 0)
        close(responder->epoll);
    if (responder->word >= 0)
        close(responder->word);
    free(responder);
}

static void accept_all(struct responder *responder)
{
    for (int i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &responder->peers[i];
        if (peer->fd >= 0)
            continue;
        peer->fd = accept4(responder->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer->fd < 0)
            return;
        int on = 1;
        (void)!setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peer->in = malloc(IN_BYTES);
        if (!peer->in || watch(responder, peer->fd, (uint32_t)i) < 0)
            end_peer(peer);
    }
}

static bool reply(struct responder *responder, struct peer *peer, int bytes)
{
    return bytes > 0 && send(peer->fd, responder->out, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == bytes;
}

static bool reply_ack(struct responder *responder, struct peer *peer, enum mqtt_packet_type type,
                      uint16_t packet_id)
{
    return reply(responder, peer, mqtt_ack_encode(responder->out, sizeof responder->out, type, packet_id));
}

static void forward(struct responder *responder, const struct mqtt_publish *publish)
{
    for (int i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &responder->peers[i];
        if (peer->fd < 0 || !mqtt_text_equal(mqtt_text_of(peer->topic), publish->topic))
            continue;
        struct mqtt_publish copy = *publish;
        copy.dup = copy.retain = false;
        copy.qos = publish->qos < peer->qos ? publish->qos : peer->qos;
        if (++peer->packet_id == 0)
            peer->packet_id = 1;
        copy.packet_id = copy.qos > 0 ? peer->packet_id : 0;
        (void)!reply(responder, peer, mqtt_publish_encode(responder->out, sizeof responder->out, &copy));
    }
}

static bool on_publish(struct responder *responder, struct peer *peer, const struct mqtt_frame *frame)
{
    struct mqtt_publish publish;
    if (mqtt_publish_decode(frame, &publish) != MQTT_OK)
        return false;
    responder->published++;
    if (responder->config.lose_every == 0 || responder->published % responder->config.lose_every != 0)
        forward(responder, &publish);
    if (publish.qos == 0)
        return true;
    return reply_ack(responder, peer, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, publish.packet_id);
}

static bool on_subscribe(struct responder *responder, struct peer *peer, const struct mqtt_frame *frame)
{
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    if (mqtt_subscribe_decode(frame, &list) != MQTT_OK || list.count != 1 ||
        !mqtt_subscribe_next(&list, &one) || one.filter.bytes >= TOPIC_MAX)
        return false;
    uint8_t code = MQTT_SUBACK_FAILURE;
    if (!responder->config.refuse_subscriptions) {
        memcpy(peer->topic, one.filter.data, one.filter.bytes);
        peer->topic[one.filter.bytes] = '\0';
        peer->qos = code = one.qos;
    }
    struct mqtt_suback suback = {.packet_id = list.packet_id, .codes = &code, .count = 1};
    return reply(responder, peer, mqtt_suback_encode(responder->out, sizeof responder->out, &suback));
}

static bool on_unsubscribe(struct responder *responder, struct peer *peer, const struct mqtt_frame *frame)
{
    struct mqtt_subscribe list;
    struct mqtt_subscription one;
    if (mqtt_subscribe_decode(frame, &list) != MQTT_OK || list.count != 1 ||
        !mqtt_subscribe_next(&list, &one))
        return false;
    if (mqtt_text_equal(mqtt_text_of(peer->topic), one.filter))
        peer->topic[0] = '\0';
    return reply_ack(responder, peer, MQTT_UNSUBACK, list.packet_id);
}

static bool on_packet(struct responder *responder, struct peer *peer, const struct mqtt_frame *frame)
{
    uint16_t packet_id;
    switch (frame->type) {
    case MQTT_CONNECT:
        if (responder->config.silent)
            return true;
        return reply(responder, peer,
                     mqtt_connack_encode(responder->out, sizeof responder->out,
                                         (enum mqtt_connack_code)responder->config.refuse, false)) &&
               responder->config.refuse == 0;
    case MQTT_PUBLISH:
        return on_publish(responder, peer, frame);
    case MQTT_SUBSCRIBE:
        return on_subscribe(responder, peer, frame);
    case MQTT_UNSUBSCRIBE:
        return on_unsubscribe(responder, peer, frame);
    case MQTT_PUBREC:
    case MQTT_PUBREL:
        return mqtt_ack_decode(frame, &packet_id) == MQTT_OK &&
               reply_ack(responder, peer, frame->type == MQTT_PUBREC ? MQTT_PUBREL : MQTT_PUBCOMP, packet_id);
    case MQTT_PINGREQ:
        return responder->config.deaf ||
               reply(responder, peer,
                     mqtt_empty_encode(responder->out, sizeof responder->out, MQTT_PINGRESP));
    case MQTT_DISCONNECT:
        return false;
    default:
        return true;
    }
}

static void on_readable(struct responder *responder, struct peer *peer)
{
    ssize_t count = recv(peer->fd, peer->in + peer->in_bytes, IN_BYTES - peer->in_bytes, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        end_peer(peer);
        return;
    }
    peer->in_bytes += (size_t)count;
    size_t used = 0, needed;
    struct mqtt_frame frame;
    enum mqtt_error error = MQTT_INCOMPLETE;
    while (used < peer->in_bytes && (error = mqtt_frame_decode(peer->in + used, peer->in_bytes - used,
                                                               IN_BYTES, &frame, &needed)) == MQTT_OK) {
        if (!on_packet(responder, peer, &frame)) {
            end_peer(peer);
            return;
        }
        used += needed;
    }
    if (used < peer->in_bytes && error != MQTT_INCOMPLETE) {
        end_peer(peer);
        return;
    }
    memmove(peer->in, peer->in + used, peer->in_bytes - used);
    peer->in_bytes -= used;
}

static void on_word(struct responder *responder)
{
    eventfd_t words;
    (void)!eventfd_read(responder->word, &words);
    if (!atomic_exchange_explicit(&responder->drop, false, memory_order_relaxed))
        return;
    for (int i = 0; i < PEERS_MAX; i++)
        if (responder->peers[i].fd >= 0)
            end_peer(&responder->peers[i]);
}

void responder_run(struct responder *responder)
{
    struct epoll_event events[EVENTS];
    while (!atomic_load_explicit(&responder->stop, memory_order_relaxed)) {
        int count = epoll_wait(responder->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            uint32_t what = events[i].data.u32;
            if (what == LISTENER)
                accept_all(responder);
            else if (what == WORD)
                on_word(responder);
            else if (responder->peers[what].fd >= 0)
                on_readable(responder, &responder->peers[what]);
        }
    }
}
