// SPDX-License-Identifier: Apache-2.0
// Opening and closing: connections, packets, files.
#include "bench/bare/bare.h"

#include "base/units.h"
#include "bench/bare/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    TOPIC_BYTES = 64,
    PUBLISHERS_MAX = 9999,
    IN_FLIGHT = 100,
    IN_FLIGHT_BYTES = 64 << 10,
    IN_FLIGHT_LEAST = 10
};
static const int64_t PAIRS = 100;
static const char scheme[] = "mqtt://", every_topic[] = "poolmark/bare/+";

// As the generator has it (loadgen/scenarios/publish.c), for QoS 0 and 1.
static int64_t fitting_in_flight(int64_t payload_bytes)
{
    int64_t fit = IN_FLIGHT_BYTES / payload_bytes;
    return fit < IN_FLIGHT_LEAST ? IN_FLIGHT_LEAST : fit > IN_FLIGHT ? IN_FLIGHT : fit;
}

int bare_config_check(struct bare_config *config, struct err *err)
{
    for (int i = 0; i < config->watch_pids.count; i++) {
        int64_t pid;
        if (units_parse_count(config->watch_pids.values[i], &pid) < 0 || pid < 1)
            return err_set(err, -EINVAL, "--watch-pid: \"%s\" is no process", config->watch_pids.values[i]);
    }
    if (strncmp(config->target, scheme, strlen(scheme)) == 0)
        config->target += strlen(scheme);
    config->pattern = strcmp(config->pattern_name, "fan-in") == 0 ? BARE_FAN_IN : BARE_PAIRS;
    bool pairs = config->pattern == BARE_PAIRS;
    if (pairs && config->publishers > 0)
        return err_set(err, -EINVAL, "--publishers is for the pattern fan-in; with pairs give --pairs");
    if (!pairs && config->pairs > 0)
        return err_set(err, -EINVAL, "--pairs is for the pattern pairs; fan-in takes --publishers");
    if (config->in_flight == 0)
        config->in_flight = fitting_in_flight(config->payload_bytes);
    return 0;
}

static int watch(struct bare *bare, struct bare_stream *stream, bool reader, int64_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)number << 1 | reader};
    return epoll_ctl(bare->epoll, EPOLL_CTL_ADD, stream->fd, &event) < 0 ? -errno : 0;
}

static int open_reader(struct bare *bare, int64_t number, struct err *err)
{
    const struct bare_config *config = bare->config;
    struct bare_stream *reader = &bare->reader[number];
    char topic[TOPIC_BYTES];
    snprintf(topic, sizeof topic, "poolmark/bare/%06lld", (long long)number);
    int code = bare_stream_open(reader, config->target, config->pattern == BARE_PAIRS ? topic : every_topic,
                                (int)config->qos, err);
    if (code < 0)
        return code;
    // One receive brings at most so many messages.
    size_t acks = BARE_RECEIVE_BYTES / bare->packet.bytes + 1;
    reader->out = config->qos > 0 ? malloc(acks * BARE_ACK_BYTES) : NULL;
    if (config->qos > 0 && !reader->out)
        return err_set(err, -ENOMEM, "no memory for acknowledgements");
    reader->at = reader->end = reader->out;
    code = watch(bare, reader, true, number);
    return code < 0 ? err_set(err, code, "epoll_ctl: %s", strerror(-code)) : 0;
}

static int open_publisher(struct bare *bare, int64_t number, struct err *err)
{
    const struct bare_config *config = bare->config;
    struct bare_stream *publisher = &bare->publisher[number];
    char topic[TOPIC_BYTES];
    snprintf(topic, sizeof topic, "poolmark/bare/%06lld", (long long)number);
    int code = bare_stream_open(publisher, config->target, NULL, (int)config->qos, err);
    if (code < 0)
        return code;
    code = bare_stream_encode(publisher, &bare->packet, config->in_flight, topic, (uint32_t)number,
                              (size_t)config->payload_bytes, (int)config->qos);
    if (code == 0)
        code = watch(bare, publisher, false, number);
    return code < 0 ? err_set(err, code, "publisher %lld: %s", (long long)number, strerror(-code)) : 0;
}

static int allocate(struct bare *bare)
{
    bare->publisher = calloc((size_t)bare->publishers, sizeof *bare->publisher);
    bare->reader = calloc((size_t)bare->readers, sizeof *bare->reader);
    bare->rest_bytes = calloc((size_t)bare->readers, sizeof *bare->rest_bytes);
    bare->buffer = malloc(BARE_RECEIVE_BYTES);
    if (!bare->publisher || !bare->reader || !bare->rest_bytes || !bare->buffer)
        return -ENOMEM;
    for (int64_t i = 0; i < bare->publishers; i++)
        bare->publisher[i].fd = -1;
    for (int64_t i = 0; i < bare->readers; i++)
        bare->reader[i].fd = -1;
    bare->epoll = epoll_create1(EPOLL_CLOEXEC);
    return bare->epoll < 0 ? -errno : 0;
}

// Publishers first: they say how large a packet is.
static int open_all(struct bare *bare, struct err *err)
{
    int code = allocate(bare);
    if (code < 0)
        return err_set(err, code, "%s", strerror(-code));
    code = bare_files_open(bare, err);
    for (int64_t i = 0; i < bare->publishers && code == 0; i++)
        code = open_publisher(bare, i, err);
    if (code == 0 && bare->packet.bytes > BARE_RECEIVE_BYTES)
        code = err_set(err, -EINVAL, "--payload: a packet has %zu bytes, a receive %d", bare->packet.bytes,
                       BARE_RECEIVE_BYTES);
    bare->rest = code == 0 ? malloc((size_t)bare->readers * bare->packet.bytes) : NULL;
    if (code == 0 && !bare->rest)
        code = err_set(err, -ENOMEM, "no memory");
    for (int64_t i = 0; i < bare->readers && code == 0; i++)
        code = open_reader(bare, i, err);
    return code;
}

int bare_open(struct bare **opened, const struct bare_config *config, struct err *err)
{
    struct bare *bare = calloc(1, sizeof *bare);
    if (!bare)
        return err_set(err, -ENOMEM, "no memory");
    bool pairs = config->pattern == BARE_PAIRS;
    int64_t asked = pairs ? config->pairs : config->publishers;
    *bare = (struct bare){.config = config, .epoll = -1};
    bare->publishers = asked > 0 ? asked : PAIRS;
    bare->readers = pairs ? bare->publishers : 1;
    int code = bare->publishers > PUBLISHERS_MAX
                   ? err_set(err, -EINVAL, "%lld publishers; the bare client has %d at most",
                             (long long)bare->publishers, PUBLISHERS_MAX)
                   : open_all(bare, err);
    if (code < 0) {
        (void)!bare_close(bare, NULL);
        return code;
    }
    *opened = bare;
    return 0;
}

int64_t bare_sent(const struct bare *bare)
{
    return bare->sent;
}

int64_t bare_received(const struct bare *bare)
{
    return bare->received;
}

double bare_rate(const struct bare *bare)
{
    int64_t took_ns = bare->ended_at_ns - bare->warmed_at_ns;
    return took_ns > 0 ? (double)(bare->ended - bare->warmed) * 1e9 / (double)took_ns : 0;
}

int bare_close(struct bare *bare, struct err *err)
{
    if (!bare)
        return 0;
    for (int64_t i = 0; bare->publisher && i < bare->publishers; i++)
        bare_stream_close(&bare->publisher[i]);
    for (int64_t i = 0; bare->reader && i < bare->readers; i++)
        bare_stream_close(&bare->reader[i]);
    if (bare->epoll >= 0)
        close(bare->epoll);
    int code = bare_files_close(bare, err);
    free(bare->publisher);
    free(bare->reader);
    free(bare->rest_bytes);
    free(bare->rest);
    free(bare->buffer);
    free(bare);
    return code;
}
