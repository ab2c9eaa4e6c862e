// SPDX-License-Identifier: Apache-2.0
// The frame of every packet: fixed header and remaining length (section 2.2); and the three packets without a
// body.
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

// Decodes the frame of the packet at the start of `data`.
// MQTT_OK: the packet is complete. `frame` is filled. `needed` is its length; the next packet starts there.
// MQTT_INCOMPLETE: call again with at least `needed` bytes, which is always more than `size`. Once the fixed
// header is complete, `needed` is the exact length of the packet, and `frame` is filled (do not read its body
// yet). Before, `needed` is a lower bound, and the type in `frame` is 0.
// Other errors: these bytes start no packet. They are found as early as possible: a forbidden type, reserved
// flags, a malformed length, a length that the type cannot have, or a whole packet longer than
// `max_packet_bytes` (0: no limit).
enum mqtt_error mqtt_frame_decode(const void *data, size_t size, size_t max_packet_bytes,
                                  struct mqtt_frame *frame, size_t *needed)
    __attribute__((warn_unused_result));

// May a client (a server) send that type? For an early check, before the body is decoded.
bool mqtt_client_sends(enum mqtt_packet_type type);
bool mqtt_server_sends(enum mqtt_packet_type type);

// Writes a fixed header for a body of `body_bytes`. Returns the bytes written (2 to 5), -ENOBUFS, or -EINVAL
// past MQTT_REMAINING_MAX.
int mqtt_header_encode(void *to, size_t size, enum mqtt_packet_type type, uint8_t flags, size_t body_bytes)
    __attribute__((warn_unused_result));

// Bytes of a packet with a body of `body_bytes`.
size_t mqtt_packet_bytes(size_t body_bytes);

// PINGREQ, PINGRESP, DISCONNECT: two bytes each, decoded by mqtt_frame_decode alone. -EINVAL for other types.
int mqtt_empty_encode(void *to, size_t size, enum mqtt_packet_type type) __attribute__((warn_unused_result));

#endif
