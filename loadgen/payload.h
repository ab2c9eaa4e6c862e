// SPDX-License-Identifier: Apache-2.0
// The payload of the generator's messages. It tells the receiver the intended time, the send time, and
// whether the message arrived as the generator sent it. Little-endian:
//   0 check (u32)  4 pair (u32)  8 sequence (u40)  13 run (u24)  16 intended_ns (i64)  24 sent_ns (i64)  32 body
// The run's number is drawn anew for each run: a message of another generator on the same topic is known by it.
// The check value is over the fields that follow it and the length. The body is a part of a fixed text of random
// bytes; pair and sequence say which, so that bytes of another message are noticed too.
// Times are CLOCK_MONOTONIC: publisher and subscriber are on one host. Any thread.
#ifndef POOLMARK_LOADGEN_PAYLOAD_H
#define POOLMARK_LOADGEN_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_MIN_BYTES = 32 };

enum { PAYLOAD_RUN_BITS = 24 };

struct payload {
    uint32_t pair;
    uint32_t run;      // less than 2^24
    uint64_t sequence; // less than 2^40
    int64_t intended_ns, sent_ns;
};

enum payload_content {
    PAYLOAD_STRANGE, // none of ours, or with another header or length than was sent
    PAYLOAD_CORRUPT, // ours by its header, with another body than was sent
    PAYLOAD_WHOLE,   // as it was sent
};

// The header alone, for payloads with another body (payload_form.h). `bytes`: of the whole payload. False: none of ours,
// or with another length; `*payload` was not set.
void payload_header_write(uint8_t to[static PAYLOAD_MIN_BYTES], size_t bytes, const struct payload *payload);
bool payload_header_read(const uint8_t from[static PAYLOAD_MIN_BYTES], size_t bytes, struct payload *payload);

// Writes payloads of any size up to one. One thread.
//     struct payload_writer writer;
//     if (payload_writer_open(&writer, 64) == 0)
//         send(payload_write(&writer, 64, &payload), 64);
//     payload_writer_close(&writer);
struct payload_writer {
    uint8_t *text;    // a copy of the text, as long as a payload needs
    size_t header_at; // of the payload before
};

// `bytes`: at least PAYLOAD_MIN_BYTES. -ENOMEM: `writer` is as if closed.
int payload_writer_open(struct payload_writer *writer, size_t bytes) __attribute__((warn_unused_result));
void payload_writer_close(struct payload_writer *writer); // a zeroed one too

// The payload is valid until the next call. `bytes`: PAYLOAD_MIN_BYTES up to those that the writer was opened with.
const uint8_t *payload_write(struct payload_writer *writer, size_t bytes, const struct payload *payload);

// Checks all of `data`. PAYLOAD_STRANGE: `*payload` was not set.
enum payload_content payload_read(const uint8_t *data, size_t bytes, struct payload *payload);

#endif
