// SPDX-License-Identifier: Apache-2.0
// The raw engine's reads. Whole packets are handled where they were received; an incomplete packet is kept.
#include "loadgen/engines/raw_state.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    IN_MAX = 32 << 20, // the longest packet
    READS_MAX = 256,   // reads of RAW_SCRATCH, before a client is judged
};

// Handles every whole packet in `data`. Returns the bytes used, or -1 when the client was ended.
static ssize_t take_packets(struct engine_run *run, struct raw_client *client, const uint8_t *data,
                            size_t bytes)
{
    size_t used = 0;
    while (used < bytes) {
        struct mqtt_frame frame;
        size_t needed;
        enum mqtt_error error = mqtt_frame_decode(data + used, bytes - used, IN_MAX, &frame, &needed);
        if (error == MQTT_INCOMPLETE)
            break;
        if (error != MQTT_OK || !mqtt_server_sends(frame.type)) {
            raw_lose(run, client, REASON_PROTOCOL);
            return -1;
        }
        if (!raw_packet(run, client, &frame))
            return -1;
        used += needed;
    }
    return (ssize_t)used;
}

// Keeps the beginning of a packet whose end has not come.
static void keep_rest(struct engine_run *run, struct raw_client *client, const uint8_t *rest, size_t bytes)
{
    struct raw_extra *extra = bytes > 0 ? raw_extra_of(client) : client->extra;
    if (!extra && bytes == 0)
        return;
    if (!extra || raw_make_room(&extra->in, &extra->in_capacity, IN_MAX + RAW_SCRATCH, bytes) < 0) {
        raw_lose(run, client, REASON_NO_MEMORY);
        return;
    }
    if (bytes > 0)
        memmove(extra->in, rest, bytes); // `rest` may be a part of `in`
    extra->in_bytes = (uint32_t)bytes;
    if (bytes == 0)
        raw_extra_tidy(client);
}

// Where to read to: behind the beginning of an incomplete packet. A short beginning is copied in front of the
// next bytes, so that whole packets are handled where they were received. A long packet grows in its buffer.
static uint8_t *place_to_read(struct engine_run *run, struct raw_client *client, size_t *begun)
{
    struct raw_extra *extra = client->extra;
    *begun = extra ? extra->in_bytes : 0;
    if (*begun == 0)
        return run->scratch;
    if (*begun <= RAW_SCRATCH) {
        memcpy(run->scratch, extra->in, *begun);
        return run->scratch;
    }
    if (raw_make_room(&extra->in, &extra->in_capacity, IN_MAX + RAW_SCRATCH, *begun + RAW_SCRATCH) < 0)
        return NULL;
    return extra->in;
}

void raw_read_some(struct engine_run *run, struct raw_client *client, size_t most)
{
    size_t begun;
    uint8_t *data = place_to_read(run, client, &begun);
    ssize_t count = data ? recv(client->fd, data + begun, most, MSG_DONTWAIT) : 0;
    // One time for all these bytes, after they have arrived and before they are handled: no latency is too
    // short.
    run->now_ns = clock_now_ns();
    if (!data) {
        raw_lose(run, client, REASON_NO_MEMORY);
    } else if (count > 0) {
        run->received_bytes += count;
        ssize_t used = take_packets(run, client, data, begun + (size_t)count);
        if (used >= 0)
            keep_rest(run, client, data + used, begun + (size_t)count - (size_t)used);
        raw_flush(run); // sends the acknowledgements together
    } else if (count == 0) {
        raw_lose(run, client, REASON_CLOSED);
    } else if (errno != EAGAIN && errno != EINTR) {
        raw_lose(run, client, tally_reason_of_errno(errno));
    }
}

void raw_readable(struct engine_run *run, struct raw_client *client)
{
    raw_read_some(run, client, RAW_SCRATCH);
}

void raw_read_all(struct engine_run *run, struct raw_client *client)
{
    int left = 1; // the first read also reports the end of the connection
    for (int i = 0; i < READS_MAX && left > 0 && client->fd >= 0; i++) {
        raw_readable(run, client);
        if (client->fd < 0 || ioctl(client->fd, FIONREAD, &left) < 0)
            return;
    }
}
