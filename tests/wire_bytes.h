// SPDX-License-Identifier: Apache-2.0
// What the codec's tests share: packets written as C strings, put into blocks of exactly their size on the
// heap, so that the address sanitizer sees any byte read past the end.
#ifndef POOLMARK_TESTS_WIRE_BYTES_H
#define POOLMARK_TESTS_WIRE_BYTES_H

#include "wire/mqtt_frame.h"

struct packet {
    uint8_t *data;
    size_t bytes;
    struct mqtt_frame frame;
    enum mqtt_error error; // of the frame
};

// The literal's bytes, NUL bytes in it included, without the one at its end.
#define PACKET(literal) packet_of((literal), sizeof(literal) - 1)

struct packet packet_of(const void *data, size_t bytes); // asserts that, when whole, it is one packet
void packet_free(struct packet *packet);

// Asserts that the first `bytes` bytes of `got` are the literal's.
#define ASSERT_BYTES(got, bytes, literal) assert_bytes((got), (bytes), (literal), sizeof(literal) - 1)
void assert_bytes(const void *got, int got_bytes, const void *wanted, size_t wanted_bytes);

#define ASSERT_TEXT(text, literal) assert_true(mqtt_text_equal((text), mqtt_text_of(literal)))

#endif
