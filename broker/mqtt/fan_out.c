// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/fan_out.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 256 };

struct place {
    struct session *session;
    uint8_t qos;
};

struct fan_out {
    struct fan_out *next;
    struct message *message;
    size_t count, capacity, at; // reached: those before `at`
    struct place places[];
};

static size_t bytes_of(size_t capacity)
{
    return sizeof(struct fan_out) + capacity * sizeof(struct place);
}

static bool make_room(struct fan_out **fan, struct account *account)
{
    struct fan_out *old = *fan;
    if (old && old->count < old->capacity)
        return true;
    size_t capacity = old ? 2 * old->capacity : CAPACITY_MIN;
    if (!account_take(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(capacity))))
        return false;
    struct fan_out *larger = realloc(old, bytes_of(capacity));
    if (!larger) {
        account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(capacity)));
        return false;
    }
    if (old)
        account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(capacity / 2)));
    else
        *larger = (struct fan_out){.next = NULL};
    larger->capacity = capacity;
    *fan = larger;
    return true;
}

bool fan_out_add(struct fan_out **fan, struct account *account, struct session *session, uint8_t qos)
{
    if (!make_room(fan, account))
        return false;
    session_ref(session);
    (*fan)->places[(*fan)->count++] = (struct place){session, qos};
    return true;
}

void fan_outs_push(struct fan_outs *fans, struct fan_out *fan, struct message *message)
{
    if (!fan)
        return;
    fan->message = message_ref(message);
    if (fans->last)
        fans->last->next = fan;
    else
        fans->first = fan;
    fans->last = fan;
}

static void drop_first(struct fan_outs *fans)
{
    struct fan_out *fan = fans->first;
    fans->first = fan->next;
    if (!fans->first)
        fans->last = NULL;
    message_unref(fan->message);
    account_give(fans->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(fan->capacity)));
    free(fan);
}

bool fan_outs_next(struct fan_outs *fans, struct fan_target *target)
{
    struct fan_out *fan = fans->first;
    if (!fan)
        return false;
    const struct place *place = &fan->places[fan->at++];
    *target = (struct fan_target){place->session, message_ref(fan->message), place->qos};
    if (fan->at == fan->count)
        drop_first(fans);
    return true;
}

bool fan_outs_has(const struct fan_outs *fans, struct mqtt_text topic, uint32_t *work)
{
    for (const struct fan_out *fan = fans->first; fan; fan = fan->next) {
        ++*work;
        if (mqtt_text_equal(message_topic(fan->message), topic))
            return true;
    }
    return false;
}
