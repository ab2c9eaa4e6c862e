// SPDX-License-Identifier: Apache-2.0
// A session: the state that the broker keeps for a client id (MQTT 3.1.1, section 3.1.2.4).
//
// It lies at the start of a block of `arenas` (a heap block, when the client id is too long for an object).
// It always belongs to the loop that made it. A client that reconnects on another loop is handed over to this
// loop. Only this loop's thread touches the session, with four exceptions. `refs` is atomic (session_ref_mail). The lock of the
// topics guards `subscriber`. The lock of the session table guards `table_next`, whose writes are atomic as well
// (session_is_ended). `id`, `owner`, `is_clean` and `is_stored` never change.
//
// Lifetime: table and connection together hold one reference, which server_end_session gives back. Each
// message on its way from another loop holds one more. The last reference is released on the owner's thread.
#ifndef POOLMARK_BROKER_MQTT_SESSION_H
#define POOLMARK_BROKER_MQTT_SESSION_H

#include "broker/mqtt/block.h"
#include "broker/mqtt/session_flow.h"
#include "broker/mqtt/topics.h"
#include "wire/mqtt.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;

enum { SESSION_NATURAL_ID_BYTES = 24 }; // in shape lean, a session with a longer client id is a heap block

struct session {
    struct topics_subscriber subscriber;
    struct session *table_next;    // itself: it has ended, and is no longer in the table
    struct connection *connection; // NULL: the client is disconnected
    struct session_flow *flow;     // NULL: nothing is in flight or waiting
    union {
        struct message *will;       // of the connection; NULL: none, or not to be published
        uint32_t away_tick;         // without a connection: when it ended, on its loop's clock
        struct session *next_ended; // of those that have ended and still hold something
    };
    _Atomic uint32_t refs;
    uint16_t id_bytes;
    uint8_t owner;      // index of its loop
    bool is_clean : 1;  // ends with its connection
    bool is_stored : 1; // has a number in the state file, behind its id
    char id[];
};

// 48 bytes and the id. With a usual id a session fills a glibc chunk of 80 bytes, as a connection of 72 bytes
// does.
size_t session_bytes(size_t id_bytes);

// Makes a session with one reference. It takes over `arena`, an object of `arenas`; for NULL it gets one.
// When the id is too long for an object, the session gets another block and puts `arena` back. NULL: the pool
// or the account refused, or out of memory; the caller still owns `arena`.
struct session *session_new(struct block_store *arenas, void *arena, struct mqtt_text id, uint16_t owner,
                            bool is_clean) __attribute__((warn_unused_result));

// The same for a kept session with a number in the state file.
struct session *session_new_stored(struct block_store *arenas, void *arena, struct mqtt_text id,
                                   uint16_t owner, int64_t number) __attribute__((warn_unused_result));
int64_t session_number(const struct session *session); // 0: none. Any thread that visits it in topics_match

void session_ref(struct session *session); // any thread, while it visits the session in topics_match
void session_unref(struct session *session, struct block_store *arenas);

// Messages on their way to it have references, as the table has. `refs` also tells whether one of them is bulk mail
// (broker/net/mailbox.h): then later ones are too, and so come behind it. Relaxed: a thread sees what it did itself, and
// the messages of several have no order.
#define SESSION_HAS_BULK (UINT32_C(1) << 31)

// A reference for mail, any thread as above. Returns whether it has to be bulk.
bool session_ref_mail(struct session *session, bool is_bulk);
void session_mail_read(struct session *session); // before its reference is given back. The owner's thread

// Are messages on their way to it, beside `own` references of the caller?
static inline bool session_has_mail(const struct session *session, uint32_t own)
{
    return (atomic_load_explicit(&session->refs, memory_order_relaxed) & ~SESSION_HAS_BULK) > 1 + own;
}

struct mqtt_text session_id(const struct session *session);

// Returns the flow; makes one when there is none. NULL: out of memory, or the account refused. `rules` must
// outlive the flow.
struct session_flow *session_flow_need(struct session *session, struct block_store *arenas,
                                       const struct flow_rules *rules);
void session_flow_done(struct session *session); // frees the flow if it is empty

// It is removed from the table. What it has in topics and flow goes in portions. Its loop's thread alone marks and asks,
// without the table's lock. Atomic and relaxed: meanwhile other threads may link it anew in the table, but never to itself.
static inline void session_mark_ended(struct session *session)
{
    __atomic_store_n(&session->table_next, session, __ATOMIC_RELAXED);
}

static inline bool session_is_ended(const struct session *session)
{
    return __atomic_load_n(&session->table_next, __ATOMIC_RELAXED) == session;
}

static inline struct session *session_of_subscriber(struct topics_subscriber *subscriber)
{
    return (struct session *)((char *)subscriber - offsetof(struct session, subscriber));
}

#endif
