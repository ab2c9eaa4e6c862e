// SPDX-License-Identifier: Apache-2.0
// The payload of the generator's messages. It tells the receiver the intended time, the send time, and
// whether the generator sent the message at all. Little-endian:
//   0 "PMK1"  4 pair (u32)  8 sequence (u64)  16 intended_ns (i64)  24 sent_ns (i64)  32 filler
// Times are CLOCK_MONOTONIC: publisher and subscriber are on one host.
#ifndef POOLMARK_LOADGEN_PAYLOAD_H
#define POOLMARK_LOADGEN_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_MIN_BYTES = 32 };

struct payload {
    uint32_t pair;
    uint64_t sequence;
    int64_t intended_ns, sent_ns;
};

// Writes the first PAYLOAD_MIN_BYTES of `to`.
void payload_write(uint8_t *to, const struct payload *payload);

// False when `data` is not such a payload: too short, or another beginning.
bool payload_read(const uint8_t *data, size_t bytes, struct payload *payload);

#endif
