// SPDX-License-Identifier: Apache-2.0
// What is under way between a session and its client: messages sent and not acknowledged yet, messages
// waiting for their turn, and the packet ids received at QoS 2 whose PUBREL has not come (MQTT 3.1.1,
// sections 4.3 and 4.4).
//
// A session has a flow only while something is under way. One thread at a time: that of the session's loop. A
// flow holds a reference of each message in it.
#ifndef POOLMARK_BROKER_MQTT_SESSION_FLOW_H
#define POOLMARK_BROKER_MQTT_SESSION_FLOW_H

#include "broker/mqtt/message.h"
#include "broker/mqtt/replay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOW_INLINE = 2 }; // entries that need no memory of their own

// What bounds the flows of a broker: by count and by bytes of messages, in flight and waiting each. A message
// counts whole in each flow, however many hold it. One may always be in flight, and one wait, however large.
struct flow_rules {
    struct account *account; // for what a flow allocates
    uint32_t max_inflight;   // 1 to 65535
    uint32_t max_queued;
    int64_t max_queued_bytes; // 0: any
};

#define FLOW_RULES_DEFAULTS                                                                                  \
    {                                                                                                        \
        NULL, 256, 65536, 16 << 20                                                                           \
    }

enum delivery_stage {
    DELIVERY_UNSENT,  // in flight, to be sent (again)
    DELIVERY_SENT,    // waits for PUBACK or PUBREC
    DELIVERY_RELEASE, // PUBREC came: PUBREL to be sent (again)
    DELIVERY_RELEASED // waits for PUBCOMP
};

struct delivery {
    struct message *message; // NULL from DELIVERY_RELEASE on
    uint16_t packet_id;
    uint8_t qos;
    uint8_t stage; // enum delivery_stage
    bool dup, retain;
};

struct session_flow {
    const struct flow_rules *rules;
    struct delivery *inflight; // in the order of first sending
    struct delivery *queue;    // a ring
    uint16_t *received;        // sorted
    uint32_t inflight_count, inflight_capacity;
    uint32_t queue_first, queue_count, queue_capacity; // capacity: a power of two
    uint32_t received_count, received_capacity;
    int64_t inflight_bytes, queue_bytes; // of their messages
    struct replays replays;              // retained messages owed for new subscriptions
    uint16_t last_packet_id;
    bool in_arena;      // its own memory belongs to the session's arena
    bool needs_restart; // some in flight are DELIVERY_UNSENT or DELIVERY_RELEASE
    struct delivery inline_inflight[FLOW_INLINE];
    struct delivery inline_queue[FLOW_INLINE];
};

void flow_init(struct session_flow *flow, const struct flow_rules *rules, bool in_arena);
void flow_clear(struct session_flow *flow); // lets go of every message; the flow is empty and usable
bool flow_is_empty(const struct session_flow *flow);

// Waits at the end of the queue; takes a reference. Not queued: -EDQUOT when the rules' bounds are reached,
// -ENOMEM.
int flow_queue_push(struct session_flow *flow, struct message *message, uint8_t qos, bool retain)
    __attribute__((warn_unused_result));
struct delivery *flow_queue_front(struct session_flow *flow); // NULL when empty
void flow_queue_drop_front(struct session_flow *flow);        // lets go of its message

// Puts a message in flight as DELIVERY_SENT; takes a reference. -ENOMEM, or -EAGAIN when as much is in flight
// as may be.
int flow_inflight_add(struct session_flow *flow, struct message *message, uint8_t qos, bool retain,
                      uint16_t packet_id) __attribute__((warn_unused_result));

// A packet id that nothing in flight has [MQTT-2.3.1-2].
uint16_t flow_next_packet_id(struct session_flow *flow);
struct delivery *flow_inflight_find(struct session_flow *flow, uint16_t packet_id);
void flow_inflight_release(struct session_flow *flow,
                           struct delivery *delivery); // PUBREC: lets go of the message, DELIVERY_RELEASE
void flow_inflight_remove(struct session_flow *flow, struct delivery *delivery);
void flow_inflight_restart(struct session_flow *flow); // all to be sent again, those sent before with DUP

// A QoS 2 packet id that came. 1: new; 0: known, so a duplicate; -ENOMEM.
int flow_received_add(struct session_flow *flow, uint16_t packet_id) __attribute__((warn_unused_result));
bool flow_received_remove(struct session_flow *flow, uint16_t packet_id);

bool flow_is_valid(const struct session_flow *flow);

#endif
