// SPDX-License-Identifier: Apache-2.0
// A payload of the load generator in the test's own buffer.
#ifndef POOLMARK_TESTS_WRITTEN_PAYLOAD_H
#define POOLMARK_TESTS_WRITTEN_PAYLOAD_H

#include "loadgen/payload.h"

#include <string.h>

// Writes `bytes` bytes, at least PAYLOAD_MIN_BYTES, to `to`.
static inline void written_payload(uint8_t *to, size_t bytes, const struct payload *payload)
{
    struct payload_writer writer;
    assert_int_equal(payload_writer_open(&writer, bytes), 0);
    memcpy(to, payload_write(&writer, bytes, payload), bytes);
    payload_writer_close(&writer);
}

#endif
