// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/reach.h"

#include <stdlib.h>

enum { PARTS = 256, CAPACITY_MIN = 16 }; // powers of two

struct place {
    struct session *session; // NULL: free
    uint8_t qos;
};

struct part {
    struct place *places;
    uint32_t count, capacity; // a power of two; at most three quarters are used
};

struct reach {
    struct account *account;
    uint32_t part, at; // taken: those before
    struct part parts[PARTS];
};

static void *take_memory(struct account *account, size_t bytes)
{
    if (!account_take(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes)))
        return NULL;
    void *memory = calloc(1, bytes);
    if (!memory)
        account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes));
    return memory;
}

static void free_places(struct account *account, const struct part *part)
{
    if (!part->places)
        return;
    account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(part->capacity * sizeof *part->places));
    free(part->places);
}

struct reach *reach_new(struct account *account)
{
    struct reach *reach = take_memory(account, sizeof *reach);
    if (reach)
        reach->account = account;
    return reach;
}

void reach_free(struct reach *reach)
{
    if (!reach)
        return;
    for (int i = 0; i < PARTS; i++)
        free_places(reach->account, &reach->parts[i]);
    account_give(reach->account, ACCOUNT_SESSIONS, account_heap_bytes(sizeof *reach));
    free(reach);
}

static uint64_t hash_of(const struct session *session)
{
    uint64_t hash = (uintptr_t)session * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

// The place of the session, or the free one for it.
static struct place *place_of(const struct part *part, const struct session *session)
{
    uint32_t at = (uint32_t)(hash_of(session) / PARTS) & (part->capacity - 1);
    while (part->places[at].session && part->places[at].session != session)
        at = (at + 1) & (part->capacity - 1);
    return &part->places[at];
}

static bool grow(struct reach *reach, struct part *part)
{
    struct part larger = {NULL, part->count, part->capacity ? 2 * part->capacity : CAPACITY_MIN};
    larger.places = take_memory(reach->account, larger.capacity * sizeof *larger.places);
    if (!larger.places)
        return false;
    for (uint32_t i = 0; i < part->capacity; i++)
        if (part->places[i].session)
            *place_of(&larger, part->places[i].session) = part->places[i];
    free_places(reach->account, part);
    *part = larger;
    return true;
}

bool reach_add(struct reach *reach, struct session *session, uint8_t qos)
{
    struct part *part = &reach->parts[hash_of(session) % PARTS];
    if (part->count >= part->capacity / 4 * 3 && !grow(reach, part))
        return false;
    struct place *place = place_of(part, session);
    if (!place->session) {
        session_ref(session);
        *place = (struct place){session, qos};
        part->count++;
    } else if (place->qos < qos) {
        place->qos = qos;
    }
    return true;
}

bool reach_take(struct reach *reach, struct session **session, uint8_t *qos)
{
    for (; reach->part < PARTS; reach->part++, reach->at = 0) {
        struct part *part = &reach->parts[reach->part];
        for (; reach->at < part->capacity; reach->at++) {
            struct place *place = &part->places[reach->at];
            if (!place->session)
                continue;
            *session = place->session;
            *qos = place->qos;
            reach->at++;
            return true;
        }
    }
    return false;
}
