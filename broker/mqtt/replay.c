// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/replay.h"

#include "broker/mqtt/account.h"
#include "broker/mqtt/level_tree.h"
#include "broker/mqtt/message.h"
#include "broker/mqtt/retained.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS = 64, BYTES_PER_WORK = 512 }; // most places looked at for one message; bytes of a filter

struct replay {
    struct replay *next;
    struct level_cursor cursor;
    uint8_t qos;
    uint16_t filter_bytes;
    char filter[];
};

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
    *replay = (struct replay){.cursor = {.account = account, .kind = ACCOUNT_SESSIONS},
                              .qos = qos,
                              .filter_bytes = (uint16_t)filter.bytes};
    memcpy(replay->filter, filter.data, filter.bytes);
    if (replays->last)
        replays->last->next = replay;
    else
        replays->first = replay;
    replays->last = replay;
    return 0;
}

void replays_drop_first(struct replays *replays, struct account *account)
{
    struct replay *replay = replays->first;
    replays->first = replay->next;
    if (!replays->first)
        replays->last = NULL;
    level_cursor_free(&replay->cursor);
    account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(sizeof *replay + replay->filter_bytes));
    free(replay);
}

struct message *replays_next(struct replays *replays, struct account *account, struct retained *retained,
                             uint8_t *qos, uint32_t *work, int64_t *lost)
{
    struct replay *replay = replays->first;
    int64_t looked = 0;
    if (!replay)
        return NULL;
    struct mqtt_text filter = {replay->filter, replay->filter_bytes};
    struct message *message = retained_next(retained, filter, &replay->cursor, LOOKS, &looked);
    *qos = replay->qos;
    // The search for the place costs about as much as a few nodes, and its filter is read anew.
    *work += 1 + (uint32_t)looked / 2 + (uint32_t)filter.bytes / BYTES_PER_WORK;
    *lost += replay->cursor.is_lost;
    if (replay->cursor.is_done)
        replays_drop_first(replays, account);
    return message;
}
