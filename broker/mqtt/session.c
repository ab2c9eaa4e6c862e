// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/session.h"

#include "broker/mqtt/check.h"

#include <stdlib.h>
#include <string.h>

size_t session_bytes(size_t id_bytes)
{
    return offsetof(struct session, id) + id_bytes;
}

// With its number.
static size_t whole_bytes(const struct session *session)
{
    return session_bytes(session->id_bytes) + (session->is_stored ? sizeof(int64_t) : 0);
}

static struct session *make(struct block_store *arenas, void *arena, struct mqtt_text id, uint16_t owner,
                            int64_t number)
{
    size_t bytes = session_bytes(id.bytes) + (number ? sizeof number : 0);
    struct session *session = arena;
    bool fits = bytes <= arenas->object_bytes;
    if (!arena || !fits)
        session = block_get(arenas, bytes);
    if (!session)
        return NULL;
    if (!fits)
        block_put(arenas, arena, arenas->object_bytes);
    memset(session, 0, offsetof(struct session, id));
    atomic_init(&session->refs, 1);
    session->owner = (uint8_t)owner;
    session->id_bytes = (uint16_t)id.bytes;
    session->is_stored = number != 0;
    if (id.bytes > 0)
        memcpy(session->id, id.data, id.bytes);
    if (number)
        memcpy(session->id + id.bytes, &number, sizeof number);
    return session;
}

struct session *session_new(struct block_store *arenas, void *arena, struct mqtt_text id, uint16_t owner,
                            bool is_clean)
{
    struct session *session = make(arenas, arena, id, owner, 0);
    if (session)
        session->is_clean = is_clean;
    return session;
}

struct session *session_new_stored(struct block_store *arenas, void *arena, struct mqtt_text id,
                                   uint16_t owner, int64_t number)
{
    return make(arenas, arena, id, owner, number);
}

int64_t session_number(const struct session *session)
{
    int64_t number = 0;
    if (session->is_stored)
        memcpy(&number, session->id + session->id_bytes, sizeof number);
    return number;
}

void session_ref(struct session *session)
{
    // Relaxed: the caller found the session under the lock of the topics. server_end_session removes it under
    // the same lock before it releases the first reference. So the count is not zero here.
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
}

bool session_ref_mail(struct session *session, bool is_bulk)
{
    uint32_t refs = atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    if (is_bulk && !(refs & SESSION_HAS_BULK))
        atomic_fetch_or_explicit(&session->refs, SESSION_HAS_BULK, memory_order_relaxed);
    return is_bulk || refs & SESSION_HAS_BULK;
}

void session_mail_read(struct session *session)
{
    // The table's reference and this one: nothing else is on its way.
    uint32_t last = SESSION_HAS_BULK | 2;
    if (atomic_load_explicit(&session->refs, memory_order_relaxed) == last)
        atomic_compare_exchange_strong_explicit(&session->refs, &last, 2, memory_order_relaxed,
                                                memory_order_relaxed);
}

static void free_flow(struct session_flow *flow)
{
    flow_clear(flow);
    if (flow->in_arena)
        return;
    account_give(flow->rules->account, ACCOUNT_SESSIONS, account_heap_bytes(sizeof *flow));
    free(flow);
}

void session_unref(struct session *session, struct block_store *arenas)
{
    // Acquire and release: accesses of other threads are complete before the memory is freed.
    uint32_t refs = atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel);
    if ((refs & ~SESSION_HAS_BULK) != 1)
        return;
    if (session->flow) {
        CHECK(flow_is_valid(session->flow));
        free_flow(session->flow);
    }
    block_put(arenas, session, whole_bytes(session));
}

struct mqtt_text session_id(const struct session *session)
{
    return (struct mqtt_text){session->id, session->id_bytes};
}

// The space for a flow in the arena behind the client id; NULL when there is no room.
static struct session_flow *arena_flow(struct session *session, const struct block_store *arenas)
{
    size_t offset = (whole_bytes(session) + 15) & ~(size_t)15;
    if (offset + sizeof(struct session_flow) > arenas->object_bytes)
        return NULL;
    return (struct session_flow *)((char *)session + offset);
}

static struct session_flow *heap_flow(const struct flow_rules *rules)
{
    size_t bytes = sizeof(struct session_flow);
    if (!account_take(rules->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes)))
        return NULL;
    struct session_flow *flow = malloc(bytes);
    if (!flow)
        account_give(rules->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes));
    return flow;
}

struct session_flow *session_flow_need(struct session *session, struct block_store *arenas,
                                       const struct flow_rules *rules)
{
    if (session->flow)
        return session->flow;
    struct session_flow *flow = arena_flow(session, arenas);
    bool in_arena = flow != NULL;
    if (!flow)
        flow = heap_flow(rules);
    if (!flow)
        return NULL;
    flow_init(flow, rules, in_arena);
    session->flow = flow;
    return flow;
}

void session_flow_done(struct session *session)
{
    struct session_flow *flow = session->flow;
    if (!flow || !flow_is_empty(flow))
        return;
    flow_keep_ids(flow);
    free_flow(flow);
    session->flow = NULL;
}
