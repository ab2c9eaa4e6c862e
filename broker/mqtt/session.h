// SPDX-License-Identifier: Apache-2.0
// A session: what the broker remembers of a client id (MQTT 3.1.1, section 3.1.2.4).
//
// It lies at the beginning of a block of `arenas` (of the heap, when the client id is too long for an object)
// and belongs to the loop where it was made, for good: a client that comes back on another loop is handed to
// this one. Only that loop's thread touches it, with three exceptions: `refs` is atomic, `subscriber` is
// guarded by the lock of the topics, `table_next` by that of the session table; id and owner never
// change.
//
// Lifetime: the table and the connection together hold one reference, given back by server_end_session; each
// message on its way from another loop holds one more. The last reference is let go on the owner's thread.
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

enum { SESSION_NATURAL_ID_BYTES = 24 }; // a longer client id takes its session from the heap in shape lean

struct session {
    struct topics_subscriber subscriber;
    struct session *table_next;
    struct connection *connection; // NULL: the client is away
    struct session_flow *flow;     // NULL: nothing under way
    struct message *will;          // of the connection; NULL: none, or not to be published
    _Atomic uint32_t refs;
    uint16_t id_bytes;
    uint8_t owner;     // index of its loop
    bool is_clean : 1; // ends with its connection
    bool is_ended : 1; // out of table and topics
    char id[];
};

// 48 bytes and the id: with a usual id a session fills a chunk of 80 bytes of glibc's heap, as a connection
// does with its 72.
size_t session_bytes(size_t id_bytes);

// Makes a session with one reference. `arena` is an object of `arenas` that it takes over, or NULL: then it
// gets one. NULL: refused by the pool or the account, or out of memory, and `arena` is still the caller's.
// When the id is too long for an arena object, the session gets another block and `arena` is put back.
struct session *session_new(struct block_store *arenas, void *arena, struct mqtt_text id, uint16_t owner,
                            bool is_clean) __attribute__((warn_unused_result));

void session_ref(struct session *session); // any thread that finds it in the topics
void session_unref(struct session *session, struct block_store *arenas);

struct mqtt_text session_id(const struct session *session);
uint32_t session_hash(struct mqtt_text id);

// The flow, made when there is none; NULL when out of memory, or when the account refuses. `rules` outlive
// it.
struct session_flow *session_flow_need(struct session *session, struct block_store *arenas,
                                       const struct flow_rules *rules);
void session_flow_done(struct session *session); // frees it when nothing is under way

static inline struct session *session_of_subscriber(struct topics_subscriber *subscriber)
{
    return (struct session *)((char *)subscriber - offsetof(struct session, subscriber));
}

#endif
