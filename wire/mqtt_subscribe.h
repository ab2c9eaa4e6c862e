// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE, SUBACK and UNSUBSCRIBE (sections 3.8 to 3.10). UNSUBACK is in mqtt_publish.h.
//
// Decoding checks the whole list. So iterating cannot fail, and nobody acts on the first half of a malformed
// packet:
//
//     struct mqtt_subscribe list;
//     enum mqtt_error error = mqtt_subscribe_decode(&frame, &list);
//     struct mqtt_subscription one;
//     while (error == MQTT_OK && mqtt_subscribe_next(&list, &one)) ...one.filter, one.qos...
#ifndef POOLMARK_WIRE_MQTT_SUBSCRIBE_H
#define POOLMARK_WIRE_MQTT_SUBSCRIBE_H

#include "wire/mqtt_frame.h"

struct mqtt_subscription {
    struct mqtt_text filter; // a valid topic filter
    uint8_t qos;             // requested QoS; 0 in an UNSUBSCRIBE
};

struct mqtt_subscribe {
    uint16_t packet_id;
    unsigned count;          // filters in the packet, at least 1
    const uint8_t *at, *end; // the filters that mqtt_subscribe_next has not returned yet
    bool has_qos;            // SUBSCRIBE, not UNSUBSCRIBE
};

// Decodes SUBSCRIBE and UNSUBSCRIBE.
enum mqtt_error mqtt_subscribe_decode(const struct mqtt_frame *frame, struct mqtt_subscribe *list)
    __attribute__((warn_unused_result));
// The same in portions, of a long list: mqtt_subscribe_begin decodes the packet id. Then each call of
// mqtt_subscribe_check checks one filter at least, and no more behind `most` bytes. It moves `at` behind them and adds them
// to `count`. All are checked when `at` is `end`; the list then begins at `end` minus its bytes.
enum mqtt_error mqtt_subscribe_begin(const struct mqtt_frame *frame, struct mqtt_subscribe *list)
    __attribute__((warn_unused_result));
enum mqtt_error mqtt_subscribe_check(struct mqtt_subscribe *list, size_t most)
    __attribute__((warn_unused_result));

bool mqtt_subscribe_next(struct mqtt_subscribe *list, struct mqtt_subscription *subscription);

// `type` is MQTT_SUBSCRIBE or MQTT_UNSUBSCRIBE. -EINVAL: packet id 0, no filter, a filter that is empty or
// longer than 65 535 bytes, QoS above 2.
int mqtt_subscribe_encode(void *to, size_t size, enum mqtt_packet_type type, uint16_t packet_id,
                          const struct mqtt_subscription *subscriptions, size_t count)
    __attribute__((warn_unused_result));

struct mqtt_suback {
    uint16_t packet_id;
    const uint8_t *codes; // each 0, 1, 2 or MQTT_SUBACK_FAILURE, in the order of the filters
    size_t count;
};

enum mqtt_error mqtt_suback_decode(const struct mqtt_frame *frame, struct mqtt_suback *suback)
    __attribute__((warn_unused_result));
// Writes the packet up to its `count` return codes, which the caller writes behind it. `size` is the room for
// the whole packet.
int mqtt_suback_encode_head(void *to, size_t size, uint16_t packet_id, size_t count)
    __attribute__((warn_unused_result));
int mqtt_suback_encode(void *to, size_t size, const struct mqtt_suback *suback)
    __attribute__((warn_unused_result));

#endif
