// SPDX-License-Identifier: Apache-2.0
// PUBLISH (section 3.3) and its acknowledgements: PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4 to 3.7).
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

// The first writes the whole packet. The second writes all but the payload (its length is included), for a
// caller that sends the payload in place. -EINVAL: QoS 3, DUP at QoS 0, packet id 0 above QoS 0, another id
// at QoS 0, a topic longer than 65 535 bytes, a body longer than MQTT_REMAINING_MAX. Text is not checked.
int mqtt_publish_encode(void *to, size_t size, const struct mqtt_publish *publish)
    __attribute__((warn_unused_result));
int mqtt_publish_encode_header(void *to, size_t size, const struct mqtt_publish *publish)
    __attribute__((warn_unused_result));

// The same packet as parts in order, for a caller that sends topic and payload in place: the bytes before the
// topic, the topic, the packet identifier, the payload. Parts may be empty. The first and third part are
// written to `storage`. 0 or -EINVAL.
enum { MQTT_PUBLISH_PARTS = 4, MQTT_PUBLISH_STORAGE = MQTT_HEADER_MAX + 4 };
int mqtt_publish_encode_parts(struct mqtt_bytes parts[static MQTT_PUBLISH_PARTS],
                              uint8_t storage[static MQTT_PUBLISH_STORAGE],
                              const struct mqtt_publish *publish) __attribute__((warn_unused_result));

// Copies a header of `bytes` from mqtt_publish_encode_header, with another packet id, for a message with the
// same topic, QoS and size of payload. The packet id must be 0 at QoS 0, and not 0 above.
void mqtt_publish_copy_header(void *to, const void *header, size_t bytes, uint16_t packet_id);

// Bytes that mqtt_publish_encode_header writes, for any topic, payload and QoS that can be encoded.
size_t mqtt_publish_header_bytes(size_t topic_bytes, size_t payload_bytes, uint8_t qos);

// Packets that consist of a packet identifier: PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK. Four bytes. The
// encoder returns -EINVAL for any other type and for packet id 0.
enum mqtt_error mqtt_ack_decode(const struct mqtt_frame *frame, uint16_t *packet_id)
    __attribute__((warn_unused_result));
int mqtt_ack_encode(void *to, size_t size, enum mqtt_packet_type type, uint16_t packet_id)
    __attribute__((warn_unused_result));

#endif
