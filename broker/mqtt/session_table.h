// SPDX-License-Identifier: Apache-2.0
// Client id -> session, for all loops. Linear hashing (Litwin 1980) grows by one bucket per insert. So no
// insert waits for a rehash, and memory follows the number of sessions smoothly. With two sessions per bucket
// the table costs 4 bytes per session, besides the link in the session.
//
// Any thread may call. One mutex guards buckets and links (held for a fraction of a microsecond). Only the
// loop that owns a session may use it, so a lookup from another loop returns only the owner.
#ifndef POOLMARK_BROKER_MQTT_SESSION_TABLE_H
#define POOLMARK_BROKER_MQTT_SESSION_TABLE_H

#include "broker/mqtt/session.h"

struct session_table;

int session_table_open(struct session_table **table) __attribute__((warn_unused_result)); // 0 or -ENOMEM
void session_table_close(struct session_table *table); // must be empty; NULL is allowed

// The result of a lookup. `owner`: index of the owning loop; -1: no session. `session`: set only when
// `loop_index` owns it.
struct session_found {
    struct session *session;
    int owner;
};
struct session_found session_table_find(struct session_table *table, struct mqtt_text id,
                                        uint16_t loop_index);

// 0; -EEXIST: the table has its id already; -ENOMEM. After a failure nothing has changed.
int session_table_insert(struct session_table *table, struct session *session)
    __attribute__((warn_unused_result));
void session_table_remove(struct session_table *table, struct session *session);

// For emptying the table: the first session from bucket `*at` down, which becomes its bucket. UINT32_MAX before the first
// call. With the same `at` in all calls and nothing inserted meanwhile, each bucket is looked at once. NULL: empty.
struct session *session_table_any(struct session_table *table, uint32_t *at);

// Looks at the sessions of some buckets, from `sweep` on, in portions: one call takes a bounded time, and
// calls in turn see the whole table again and again. `wanted` runs under the lock and may not call this
// module. Lists up to `most` wanted sessions in `found`, and returns their number.
struct session_sweep {
    uint32_t next; // bucket
};
enum { SESSION_SWEEP_BUCKETS = 1024 }; // of one call
typedef bool session_wanted(void *context, const struct session *session);
size_t session_table_sweep(struct session_table *table, struct session_sweep *sweep, session_wanted *wanted,
                           void *context, struct session **found, size_t most);

int64_t session_table_count(struct session_table *table);
int64_t session_table_bytes(struct session_table *table); // memory of the table, without sessions
int64_t
session_table_longest(struct session_table *table); // most sessions of a bucket; walks the whole table
bool session_table_is_valid(struct session_table *table);

#endif
