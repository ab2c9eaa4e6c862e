// SPDX-License-Identifier: Apache-2.0
// The frame of every packet: fixed header and remaining length (section 2.2), and the three packets that have
// no more.
#ifndef POOLMARK_WIRE_MQTT_FRAME_H
#define POOLMARK_WIRE_MQTT_FRAME_H

#include "wire/mqtt.h"

struct mqtt_frame {
    enum mqtt_packet_type type;
    uint8_t flags;        // the low four bits of the first byte
    uint8_t header_bytes; // 2 to 5
    uint32_t body_bytes;  // the remaining length
    const uint8_t *body;  // variable header and payload, in the caller's buffer
};

// Looks for one packet at the start of `size` bytes.
// MQTT_OK: all of it is there; `frame` is filled, `needed` is its length: the next packet starts there.
// MQTT_INCOMPLETE: `needed` is how many bytes, counted from `data`, must be there for the next look: at first
// a guess that is never too high, from the end of the fixed header on the exact length; it is always more
// than `size`. `frame` is filled (and its body not yet to be read) as soon as the fixed header is there, else
// its type is 0. Any other: no packet starts so. A forbidden type, reserved flags, a malformed length, a
// length that the type cannot have, or more than `max_packet_bytes` (whole packet; 0 for no limit of your
// own) are found as soon as they can be, before the rest has come.
enum mqtt_error mqtt_frame_decode(const void *data, size_t size, size_t max_packet_bytes,
                                  struct mqtt_frame *frame, size_t *needed)
    __attribute__((warn_unused_result));

// May a client (a server) send that type? For a first check of what a connection brought.
bool mqtt_client_sends(enum mqtt_packet_type type);
bool mqtt_server_sends(enum mqtt_packet_type type);

// Writes a fixed header for a body of `body_bytes`. Returns the bytes written (2 to 5), -ENOBUFS, or -EINVAL
// past MQTT_REMAINING_MAX.
int mqtt_header_encode(void *to, size_t size, enum mqtt_packet_type type, uint8_t flags, size_t body_bytes)
    __attribute__((warn_unused_result));

// Bytes of a packet with a body of `body_bytes`.
size_t mqtt_packet_bytes(size_t body_bytes);

// PINGREQ, PINGRESP, DISCONNECT: two bytes each, and decoded by the frame alone. -EINVAL for any other type.
int mqtt_empty_encode(void *to, size_t size, enum mqtt_packet_type type) __attribute__((warn_unused_result));

#endif
