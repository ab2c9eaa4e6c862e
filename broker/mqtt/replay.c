// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/replay.h"

#include "broker/mqtt/account.h"
#include "broker/mqtt/message.h"
#include "broker/mqtt/retained.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 16, LOOKED_AT_PER_WORK = 16 };

struct replay {
    struct replay *next;
    struct message **messages; // a reference to each, from `at` on
    size_t count, capacity, at;
    bool is_collected;
    uint8_t qos;
    uint16_t filter_bytes;
    char filter[];
};

static size_t cost_of(const struct replay *replay)
{
    size_t bytes = account_heap_bytes(sizeof *replay + replay->filter_bytes);
    return replay->messages ? bytes + account_heap_bytes(replay->capacity * sizeof *replay->messages) : bytes;
}

int replays_add(struct replays *replays, struct account *account, struct mqtt_text filter, uint8_t qos)
{
    size_t bytes = sizeof(struct replay) + filter.bytes;
    if (!account_take(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes)))
        return -ENOMEM;
    struct replay *replay = malloc(bytes);
    if (!replay) {
        account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes));
        return -ENOMEM;
    }
    *replay = (struct replay){.qos = qos, .filter_bytes = (uint16_t)filter.bytes};
    memcpy(replay->filter, filter.data, filter.bytes);
    if (replays->last)
        replays->last->next = replay;
    else
        replays->first = replay;
    replays->last = replay;
    return 0;
}

struct collecting {
    struct replay *replay;
    struct account *account;
    int64_t lost;
};

static bool make_room(struct replay *replay, struct account *account)
{
    size_t capacity = replay->capacity ? 2 * replay->capacity : CAPACITY_MIN;
    size_t bytes = capacity * sizeof(struct message *);
    if (!account_take(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes)))
        return false;
    struct message **messages = realloc(replay->messages, bytes);
    if (!messages) {
        account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes));
        return false;
    }
    if (replay->capacity)
        account_give(account, ACCOUNT_SESSIONS,
                     account_heap_bytes(replay->capacity * sizeof(struct message *)));
    replay->messages = messages;
    replay->capacity = capacity;
    return true;
}

static void collect(void *context, struct message *message)
{
    struct collecting *collecting = context;
    struct replay *replay = collecting->replay;
    if (replay->count == replay->capacity && !make_room(replay, collecting->account))
        collecting->lost++;
    else
        replay->messages[replay->count++] = message_ref(message);
}

static void drop_first(struct replays *replays, struct account *account)
{
    struct replay *replay = replays->first;
    replays->first = replay->next;
    if (!replays->first)
        replays->last = NULL;
    for (; replay->at < replay->count; replay->at++)
        message_unref(replay->messages[replay->at]);
    account_give(account, ACCOUNT_SESSIONS, cost_of(replay));
    free(replay->messages);
    free(replay);
}

struct message *replays_next(struct replays *replays, struct account *account, struct retained *retained,
                             uint8_t *qos, uint32_t *work, int64_t *lost)
{
    struct replay *replay;
    while ((replay = replays->first)) {
        if (!replay->is_collected) {
            struct collecting collecting = {replay, account, 0};
            struct mqtt_text filter = {replay->filter, replay->filter_bytes};
            *work += (uint32_t)(retained_match(retained, filter, collect, &collecting) / LOOKED_AT_PER_WORK);
            *lost += collecting.lost;
            replay->is_collected = true;
        }
        while (replay->at < replay->count) {
            struct message *message = replay->messages[replay->at++];
            *qos = replay->qos;
            if (retained_has(retained, message))
                return message;
            message_unref(message);
        }
        drop_first(replays, account);
    }
    return NULL;
}

void replays_clear(struct replays *replays, struct account *account)
{
    while (replays->first)
        drop_first(replays, account);
}
