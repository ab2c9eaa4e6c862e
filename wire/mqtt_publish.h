// SPDX-License-Identifier: Apache-2.0
// PUBLISH (section 3.3) and what acknowledges it: PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4 to 3.7).
#ifndef POOLMARK_WIRE_MQTT_PUBLISH_H
#define POOLMARK_WIRE_MQTT_PUBLISH_H

#include "wire/mqtt_frame.h"

struct mqtt_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t packet_id; // 0 at QoS 0, never 0 above
    struct mqtt_text topic;
    struct mqtt_bytes payload;
};

enum mqtt_error mqtt_publish_decode(const struct mqtt_frame *frame, struct mqtt_publish *publish)
    __attribute__((warn_unused_result));

// The whole packet; or all but the payload, whose length it tells, for who sends the payload from where it
// lies. -EINVAL: QoS 3, DUP at QoS 0, packet id 0 above QoS 0 or another at QoS 0, topic past 65 535 bytes,
// body past MQTT_REMAINING_MAX. Text is not checked.
int mqtt_publish_encode(void *to, size_t size, const struct mqtt_publish *publish)
    __attribute__((warn_unused_result));
int mqtt_publish_encode_header(void *to, size_t size, const struct mqtt_publish *publish)
    __attribute__((warn_unused_result));

// The same packet as parts, in their order, for who sends it from where topic and payload lie: what comes
// before the topic, the topic, the packet identifier, the payload. Parts may be empty. Those that lie nowhere
// else are written to `storage`. 0 or -EINVAL.
enum { MQTT_PUBLISH_PARTS = 4, MQTT_PUBLISH_STORAGE = MQTT_HEADER_MAX + 4 };
int mqtt_publish_encode_parts(struct mqtt_bytes parts[static MQTT_PUBLISH_PARTS],
                              uint8_t storage[static MQTT_PUBLISH_STORAGE],
                              const struct mqtt_publish *publish) __attribute__((warn_unused_result));

// A copy of a header of `bytes` that mqtt_publish_encode_header wrote, with another packet id: for one more
// message of that topic, QoS (of which both ids have to be) and size of payload.
void mqtt_publish_copy_header(void *to, const void *header, size_t bytes, uint16_t packet_id);

// Bytes that mqtt_publish_encode_header writes; any topic, payload and QoS that can be encoded.
size_t mqtt_publish_header_bytes(size_t topic_bytes, size_t payload_bytes, uint8_t qos);

// A packet that is a packet identifier and no more: PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK. Four bytes.
// The encoder gives -EINVAL for any other type and for packet id 0.
enum mqtt_error mqtt_ack_decode(const struct mqtt_frame *frame, uint16_t *packet_id)
    __attribute__((warn_unused_result));
int mqtt_ack_encode(void *to, size_t size, enum mqtt_packet_type type, uint16_t packet_id)
    __attribute__((warn_unused_result));

#endif
