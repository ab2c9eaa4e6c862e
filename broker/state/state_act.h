// SPDX-License-Identifier: Apache-2.0
// An act: one change of the state file. Every act may be repeated without a further effect.
//
// Sessions, messages and deliveries have numbers of one sequence (state_next_number), which are never used
// again. So an act for a number that the file does not have, because it is gone already, changes nothing.
#ifndef POOLMARK_BROKER_STATE_STATE_ACT_H
#define POOLMARK_BROKER_STATE_STATE_ACT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum state_kind {        // and the fields that it uses, besides `kind`
    STATE_SESSION,       // session, text: client id. New, and its client is connected
    STATE_SESSION_END,   // session. With its subscriptions, deliveries and received packet ids
    STATE_AWAY,          // session, value: second (Unix time) when its client left; 0: connected
    STATE_SUBSCRIBE,     // session, text: filter, qos, retain: retained messages are owed for it
    STATE_UNSUBSCRIBE,   // session, text: filter
    STATE_RECEIVED,      // session, packet_id: of a PUBLISH of QoS 2 from the client
    STATE_RECEIVED_END,  // session, packet_id: its PUBREL came
    STATE_MESSAGE,       // message, qos, retain, text: topic, payload
    STATE_MESSAGE_END,   // message
    STATE_DELIVERY,      // session, delivery, message, qos, retain, stage, packet_id, value. New
    STATE_DELIVERY_SENT, // session, delivery, packet_id, value: order of sending, a number of the sequence
    STATE_DELIVERY_RELEASED, // session, delivery: its PUBREC came
    STATE_DELIVERY_END,      // session, delivery
    STATE_RETAIN,            // text: topic, message
    STATE_RETAIN_END,        // text: topic
    STATE_WILL,              // message
    STATE_WILL_END,          // message
    STATE_REPLAYED,          // session: no retained messages are owed to it any more
    STATE_KINDS
};

enum state_stage {
    STATE_QUEUED,  // the PUBLISH was not sent
    STATE_SENT,    // it may have been sent; waits for PUBACK or PUBREC
    STATE_RELEASED // PUBREC came; the PUBREL may have been sent
};

struct state_act {
    uint8_t kind, qos, stage; // enum state_kind; 0 to 2; enum state_stage
    bool retain;
    uint16_t packet_id;
    uint32_t text_bytes, payload_bytes;
    int64_t session, message, delivery, value;
    const char *text, *payload;
    void *held; // what text and payload lie in; released when the act is durable. NULL: nothing
};

#define STATE_NUMBER_MAX (INT64_C(1) << 53) // of session, message, delivery and order of sending

// Gets one row of the file, as the act that made it. STATE_SESSION has in `value` what STATE_AWAY set. Text and
// payload are valid during the call. 0, or -errno with the text in `err`, which ends the reading.
typedef int state_visit(void *context, const struct state_act *act, struct err *err);

#endif
