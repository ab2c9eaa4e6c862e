// SPDX-License-Identifier: Apache-2.0
#include "loadgen/kept.h"

#include "base/clock.h"
#include "base/text_file.h"
#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_NS NS_PER_S // for all answers
enum { PACKET_BYTES = 4096 };

static const char topic[] = "$SYS/broker/clients/disconnected";
static const char not_told[] = "this target does not tell: only mosquitto does, where it is watched";
static const char no_answer[] = "the target does not let a client read $SYS, or answers too late";

static bool tells(const int64_t *pids, int count)
{
    bool one = false;
    for (int i = 0; i < count; i++) {
        char path[64], name[32];
        snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", pids[i]);
        one = one || (text_file_read(path, name, sizeof name) > 0 && strcmp(name, "mosquitto\n") == 0);
    }
    return one;
}

long kept_take(const void *bytes, size_t size, int64_t *sessions, int *done)
{
    size_t used = 0;
    for (;;) {
        struct mqtt_frame frame;
        struct mqtt_publish publish;
        size_t needed;
        enum mqtt_error error =
            mqtt_frame_decode((const char *)bytes + used, size - used, PACKET_BYTES, &frame, &needed);
        if (error == MQTT_INCOMPLETE)
            return (long)used;
        if (error != MQTT_OK)
            return -1;
        used += needed;
        *done |= frame.type == MQTT_PINGRESP;
        char number[24] = "";
        if (frame.type == MQTT_PUBLISH && mqtt_publish_decode(&frame, &publish) == MQTT_OK &&
            mqtt_text_equal(publish.topic, mqtt_text_of(topic)) && publish.payload.bytes < sizeof number) {
            memcpy(number, publish.payload.data, publish.payload.bytes);
            *sessions = strtoll(number, NULL, 10);
        }
    }
}

// CONNECT, SUBSCRIBE and PINGREQ in one. Its bytes.
static int packets(const struct identity *identity, char *to, size_t size)
{
    size_t texts_bytes = identity->texts_bytes + 1;
    char *texts = malloc(texts_bytes);
    struct mqtt_connect connect = {0};
    if (!texts)
        return -ENOMEM;
    identity_fill(identity, "pm", 0, texts, &connect);
    connect.client_id = mqtt_text_of(""); // the target gives it one
    connect.clean_session = true;
    connect.has_will = false;
    const struct mqtt_subscription one = {.filter = mqtt_text_of(topic)};
    int bytes = mqtt_connect_encode(to, size, &connect);
    explicit_bzero(texts, texts_bytes); // it may have a password
    free(texts);
    if (bytes < 0)
        return bytes;
    int more = mqtt_subscribe_encode(to + bytes, size - (size_t)bytes, MQTT_SUBSCRIBE, 1, &one, 1);
    if (more < 0)
        return more;
    bytes += more;
    more = mqtt_empty_encode(to + bytes, size - (size_t)bytes, MQTT_PINGREQ);
    return more < 0 ? more : bytes + more;
}

static bool waits(int fd, short events, int64_t until_ns)
{
    struct pollfd one = {.fd = fd, .events = events};
    int64_t left_ns = until_ns - clock_now_ns();
    return left_ns > 0 && poll(&one, 1, (int)(left_ns / NS_PER_MS) + 1) == 1;
}

// Reads until the answer to the PINGREQ, before which the target has sent what it retains.
static int64_t read_answers(int fd, int64_t until_ns)
{
    char bytes[PACKET_BYTES];
    size_t size = 0;
    int64_t sessions = -1;
    int done = 0;
    while (!done && size < sizeof bytes && waits(fd, POLLIN, until_ns)) {
        ssize_t more = recv(fd, bytes + size, sizeof bytes - size, 0);
        if (more <= 0)
            return -1;
        size += (size_t)more;
        long used = kept_take(bytes, size, &sessions, &done);
        if (used < 0)
            return -1;
        size -= (size_t)used;
        memmove(bytes, bytes + used, size);
    }
    return sessions;
}

void kept_read(struct kept_reading *reading, const struct plan *plan, const struct identity *identity,
               const int64_t *pids, int count)
{
    *reading = (struct kept_reading){.sessions = -1, .why = not_told};
    if (plan->target_count == 0 || !tells(pids, count))
        return;
    reading->why = no_answer;
    const struct plan_target *target = &plan->targets[0];
    char out[PACKET_BYTES];
    int bytes = packets(identity, out, sizeof out);
    int64_t until_ns = clock_now_ns() + WAIT_NS;
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    int code = connect(fd, (const struct sockaddr *)&target->address, target->address_bytes);
    if (bytes > 0 && (code == 0 || errno == EINPROGRESS) && waits(fd, POLLOUT, until_ns) &&
        send(fd, out, (size_t)bytes, MSG_NOSIGNAL) == bytes)
        reading->sessions = read_answers(fd, until_ns);
    if (reading->sessions >= 0)
        reading->why = NULL;
    char end[2];
    if (mqtt_empty_encode(end, sizeof end, MQTT_DISCONNECT) == sizeof end)
        (void)!send(fd, end, sizeof end, MSG_NOSIGNAL);
    close(fd);
    explicit_bzero(out, sizeof out);
}
