// SPDX-License-Identifier: Apache-2.0
// The flow of a session: messages in flight (sent and not acknowledged), queued messages, and packet ids
// received at QoS 2 whose PUBREL has not come (MQTT 3.1.1, sections 4.3 and 4.4).
//
// A session has a flow only while it holds any of these. Only the thread of the session's loop touches it. A
// flow holds a reference to each message in it.
#ifndef POOLMARK_BROKER_MQTT_SESSION_FLOW_H
#define POOLMARK_BROKER_MQTT_SESSION_FLOW_H

#include "broker/mqtt/message.h"
#include "broker/mqtt/replay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLOW_INLINE = 2,     // entries of each list that need no allocation
    FLOW_PER_WORK = 256, // deliveries in flight that a unit of work (broker/net/turn.h) finds or moves
};

// The bounds of all flows of a broker: count and bytes of messages, for in flight and queue separately. A
// message counts with its whole size in each flow that holds it. The bound on bytes always lets one message
// be in flight and one be queued, of any size.
struct flow_rules {
    struct account *account; // for the allocations of flows
    uint16_t *packet_ids;    // flow_keep_ids, of the loop; NULL: each flow begins with packet id 1
    uint32_t max_inflight;   // 1 to 65535
    uint32_t max_queued;
    int64_t max_queued_bytes; // 0: unbounded
};

#define FLOW_RULES_DEFAULTS                                                                                  \
    {                                                                                                        \
        NULL, NULL, 256, 65536, 16 << 20                                                                     \
    }

enum delivery_stage {
    DELIVERY_UNSENT,  // in flight; the PUBLISH must be sent (again)
    DELIVERY_SENT,    // waits for PUBACK or PUBREC
    DELIVERY_RELEASE, // PUBREC came; the PUBREL must be sent (again)
    DELIVERY_RELEASED // waits for PUBCOMP
};

struct delivery {
    struct message *message; // NULL from DELIVERY_RELEASE on
    int64_t number;          // in the state file; 0: it is not there
    uint16_t packet_id;
    uint8_t qos;
    uint8_t stage; // enum delivery_stage
    bool dup, retain;
};

// How far a SUBSCRIBE or UNSUBSCRIBE of many filters is handled.
struct flow_part {
    struct message *answer; // the SUBACK; NULL: not yet, or an UNSUBSCRIBE
    size_t left;            // bytes of its list that are still to be checked, then to be applied
    unsigned count, done;   // filters in it, and those applied
    bool is_checked;
};

struct session_flow {
    const struct flow_rules *rules;
    struct delivery *inflight; // in the order of first sending
    struct delivery *queue;    // a ring buffer
    uint16_t *received;        // sorted
    uint32_t inflight_count, inflight_capacity;
    uint32_t queue_first, queue_count, queue_capacity; // capacity: a power of two
    uint32_t received_count, received_capacity;
    int64_t inflight_bytes, queue_bytes; // sizes of their messages
    struct replays replays;              // retained messages for new subscriptions
    struct flow_part *part;              // NULL: no packet is handled in part
    uint16_t before_packet_id;           // the one before the first that it gave
    uint16_t last_packet_id;
    bool in_arena;      // the flow itself lies in the session's arena
    bool needs_restart; // some in flight are DELIVERY_UNSENT or DELIVERY_RELEASE
    bool is_lapped; // the ids in flight may lie anywhere; otherwise from the first one's to last_packet_id
    struct delivery inline_inflight[FLOW_INLINE];
    struct delivery inline_queue[FLOW_INLINE];
};

void flow_init(struct session_flow *flow, const struct flow_rules *rules, bool in_arena);
void flow_clear(struct session_flow *flow); // releases every message; the flow is empty and usable
// Before a flow ends whose session goes on: later flows of the loop begin behind the packet ids that it gave. An
// acknowledgement that comes twice is then one of an unknown id, not one of the session's next message.
void flow_keep_ids(const struct session_flow *flow);
// The same in portions: releases up to `most` messages and replays. true: none is left; flow_clear then takes no time.
bool flow_clear_some(struct session_flow *flow, uint32_t most);
bool flow_is_empty(const struct session_flow *flow);

// Appends a message to the queue and takes a reference. 0; -EDQUOT: a bound of the rules is reached; -ENOMEM.
int flow_queue_push(struct session_flow *flow, struct message *message, uint8_t qos, bool retain)
    __attribute__((warn_unused_result));
struct delivery *flow_queue_front(struct session_flow *flow); // NULL when empty
struct delivery *flow_queue_back(struct session_flow *flow);  // the last one pushed; not for an empty queue
void flow_queue_drop_front(struct session_flow *flow);        // releases its message

// Puts a message in flight as DELIVERY_SENT and takes a reference. 0; -EAGAIN: the window is full; -ENOMEM.
int flow_inflight_add(struct session_flow *flow, struct message *message, uint8_t qos, bool retain,
                      uint16_t packet_id) __attribute__((warn_unused_result));

// Puts a delivery in flight that an earlier run of the broker had there, and takes a reference to its message (NULL
// from DELIVERY_RELEASE on). In the order of first sending. 0, -EAGAIN or -ENOMEM as above.
int flow_inflight_restore(struct session_flow *flow, const struct delivery *delivery)
    __attribute__((warn_unused_result));
struct delivery *flow_inflight_last(struct session_flow *flow); // the last one added; not for none

// Returns a packet id that no message in flight has [MQTT-2.3.1-2].
uint16_t flow_next_packet_id(struct session_flow *flow);
struct delivery *flow_inflight_find(struct session_flow *flow, uint16_t packet_id);
// PUBREC came: releases the message, and the delivery becomes DELIVERY_RELEASE.
void flow_inflight_release(struct session_flow *flow, struct delivery *delivery);
void flow_inflight_remove(struct session_flow *flow, struct delivery *delivery);
struct flow_part *flow_part_need(struct session_flow *flow); // makes one when there is none; NULL: no memory
void flow_part_done(struct session_flow *flow);              // does nothing when there is none
void flow_inflight_restart(struct session_flow *flow); // all must be sent again; sent PUBLISHes with DUP

// Notes a received QoS 2 packet id. 1: new; 0: known, so the packet is a duplicate; -ENOMEM.
int flow_received_add(struct session_flow *flow, uint16_t packet_id) __attribute__((warn_unused_result));
bool flow_received_remove(struct session_flow *flow, uint16_t packet_id);

bool flow_is_valid(const struct session_flow *flow);

#endif
