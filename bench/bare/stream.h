// SPDX-License-Identifier: Apache-2.0
// One connection of the bare client: what it has to write, and how it was opened. For bench/bare alone.
#ifndef POOLMARK_BENCH_BARE_STREAM_H
#define POOLMARK_BENCH_BARE_STREAM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BARE_RECEIVE_BYTES = 64 * 1024, BARE_ACK_BYTES = 4 };

// The one packet that is sent: all messages of a run are of one size.
struct bare_packet {
    size_t bytes;
    size_t id_at;        // of the packet identifier; 0 at QoS 0
    size_t publisher_at; // of the publisher's number, four bytes, at the beginning of the payload
    uint8_t first;       // its first byte
};

struct bare_stream {
    int fd;
    uint8_t *out;          // a publisher's packets, one behind the other; a subscriber's acknowledgements
    const uint8_t *at;     // what is to be written next, up to `end`
    const uint8_t *end;    // `at` when there is nothing
    bool waits;            // for room in the socket
    uint16_t last_id;      // QoS 1
    int64_t sent, arrived; // messages of a publisher
};

// Connects to IPV4:PORT; with `filter` also subscribes at `qos`. Then the socket does not block.
int bare_stream_open(struct bare_stream *stream, const char *address, const char *filter, int qos,
                     struct err *err) __attribute__((warn_unused_result));
void bare_stream_close(struct bare_stream *stream);

// Fills `out` with `count` packets of that topic from publisher `number`, and says in `packet` where their parts are.
int bare_stream_encode(struct bare_stream *stream, struct bare_packet *packet, int64_t count,
                       const char *topic, uint32_t number, size_t payload_bytes, int qos)
    __attribute__((warn_unused_result));
// Starts to write the first `count` packets of `out`, with new packet identifiers at QoS 1. Call it with nothing left
// to write.
void bare_stream_start(struct bare_stream *stream, const struct bare_packet *packet, int64_t count);

// Writes as much as the socket takes. 0, or -errno. `at` is `end` when all is written.
int bare_stream_write(struct bare_stream *stream) __attribute__((warn_unused_result));

#endif
