// SPDX-License-Identifier: Apache-2.0
// Client id -> session, for all loops: linear hashing (Litwin 1980), which grows by one bucket an insert, so
// that no insert ever waits for a rehash, and memory follows the number of sessions without steps. Two
// sessions a bucket: the table costs 4 bytes a session beside the link in it.
//
// Any thread may call; one mutex guards buckets and links (held for a fraction of a microsecond). A session
// found is safe to use only for the loop that owns it; to others only the owner is told.
#ifndef POOLMARK_BROKER_MQTT_SESSION_TABLE_H
#define POOLMARK_BROKER_MQTT_SESSION_TABLE_H

#include "broker/mqtt/session.h"

struct session_table;

int session_table_open(struct session_table **table) __attribute__((warn_unused_result)); // 0 or -ENOMEM
void session_table_close(struct session_table *table); // must be empty; NULL is allowed

// What is known of an id. `session` is set only when `loop_index` owns it; `owner` is -1 when there is none.
struct session_found {
    struct session *session;
    int owner;
};
struct session_found session_table_find(struct session_table *table, struct mqtt_text id,
                                        uint16_t loop_index);

// 0; -EEXIST when its id is there already; -ENOMEM. Nothing changed then.
int session_table_insert(struct session_table *table, struct session *session)
    __attribute__((warn_unused_result));
void session_table_remove(struct session_table *table, struct session *session);

struct session *session_table_any(struct session_table *table); // NULL when empty; for emptying it
int64_t session_table_count(struct session_table *table);
int64_t session_table_bytes(struct session_table *table); // its own memory, sessions aside
bool session_table_is_valid(struct session_table *table);

#endif
