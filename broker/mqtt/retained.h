// SPDX-License-Identifier: Apache-2.0
// Retained messages (MQTT 3.1.1, section 3.3.1.3): the last one published with RETAIN, for each topic name.
//
// Threads: any thread may call any function at any time. One rwlock guards the tree: matching takes it for
// reading, setting for writing. A visitor runs under the read lock, so it must not call into this module. It
// takes a reference (message_ref) to each message that it keeps.
//
//     retained_set(retained, topic, publish.payload.bytes ? message : NULL);
//     retained_match(retained, filter, deliver, session);   // deliver(session, message)
#ifndef POOLMARK_BROKER_MQTT_RETAINED_H
#define POOLMARK_BROKER_MQTT_RETAINED_H

#include "wire/mqtt.h"

struct message; // broker/mqtt/message.h
struct retained;
struct account; // broker/mqtt/account.h

// A message counts with its whole size (message_bytes). A bound of 0: none.
struct retained_rules {
    struct account *account;
    int64_t max_messages, max_bytes;
};

int retained_open(struct retained **retained, const struct retained_rules *rules)
    __attribute__((warn_unused_result));        // 0 or -ENOMEM
void retained_close(struct retained *retained); // releases every message

// Keeps `message` for `name` (a valid topic name), with a reference of its own, and releases the previous one
// [MQTT-3.3.1-5]. NULL only releases the previous one. Pass NULL for an empty payload, which must never be
// kept [MQTT-3.3.1-10]. 0; -ENOMEM: no memory, or past the share that the account has for what is retained;
// -ENOSPC: past a bound of the rules. After a failure nothing has changed.
int retained_set(struct retained *retained, struct mqtt_text name, struct message *message)
    __attribute__((warn_unused_result));

// Calls `visit` for each message whose topic name matches `filter` (a valid topic filter) [MQTT-3.3.1-6], in
// no particular order. Returns their number.
typedef void retained_visit(void *context, struct message *message);
int64_t retained_match(struct retained *retained, struct mqtt_text filter, retained_visit *visit,
                       void *context);

// The same message by message (level_tree_next_name): returns the next one, with a reference for the caller. NULL: there is
// none among the next `most` levels of topics. Adds the number that it looked at to `*looked`.
struct level_cursor; // broker/mqtt/level_tree.h
struct message *retained_next(struct retained *retained, struct mqtt_text filter, struct level_cursor *cursor,
                              int64_t most, int64_t *looked);

int64_t retained_count(struct retained *retained);
int64_t
retained_tree_bytes(struct retained *retained);    // heap bytes of the tree of names, without the messages
bool retained_is_valid(struct retained *retained); // checks the invariants; for checked builds and tests

#endif
