// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/fan_out.h"

#include "broker/mqtt/reach.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 256 };

struct place {
    struct session *session;
    uint8_t qos;
};

struct fan_out {
    struct fan_out *next;
    struct message *message;
    struct topics_search *search; // NULL: none, or done
    struct reach *reach;          // what a search has found; NULL: `places` are used
    size_t count, capacity, at;   // of `places`; reached: those before `at`
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

static void append(struct fan_outs *fans, struct fan_out *fan, struct message *message)
{
    fan->message = message_ref(message);
    if (fans->last)
        fans->last->next = fan;
    else
        fans->first = fan;
    fans->last = fan;
}

void fan_outs_push(struct fan_outs *fans, struct fan_out *fan, struct message *message)
{
    if (fan)
        append(fans, fan, message);
}

static void free_fan(struct account *account, struct fan_out *fan)
{
    topics_search_free(fan->search);
    reach_free(fan->reach);
    account_give(account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(fan->capacity)));
    free(fan);
}

bool fan_outs_push_search(struct fan_outs *fans, struct topics *topics, struct message *message)
{
    if (!account_take(fans->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(0))))
        return false;
    struct fan_out *fan = calloc(1, bytes_of(0));
    if (!fan) {
        account_give(fans->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes_of(0)));
        return false;
    }
    fan->reach = reach_new(fans->account);
    fan->search = topics_search_new(topics, message_topic(message));
    if (!fan->reach || !fan->search) {
        free_fan(fans->account, fan);
        return false;
    }
    append(fans, fan, message);
    return true;
}

struct finding {
    struct fan_out *fan;
    fan_deliver *deliver;
    void *context;
};

// Under the lock of the topics.
static void on_found(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    const struct finding *finding = context;
    struct session *session = session_of_subscriber(subscriber);
    if (!reach_add(finding->fan->reach, session, qos))
        finding->deliver(finding->context, session, finding->fan->message, qos);
}

bool fan_outs_search(struct fan_outs *fans, uint32_t most, fan_deliver *deliver, void *context, int64_t *lost,
                     uint32_t *work)
{
    struct fan_out *fan = fans->first;
    if (!fan || !fan->search)
        return false;
    struct finding finding = {fan, deliver, context};
    enum topics_progress progress = topics_search_some(fan->search, most, on_found, &finding, work);
    if (progress == TOPICS_MORE)
        return true;
    *lost += progress == TOPICS_LOST;
    topics_search_free(fan->search);
    fan->search = NULL;
    return false;
}

static void drop_first(struct fan_outs *fans)
{
    struct fan_out *fan = fans->first;
    fans->first = fan->next;
    if (!fans->first)
        fans->last = NULL;
    message_unref(fan->message);
    free_fan(fans->account, fan);
}

static bool next_place(struct fan_out *fan, struct session **session, uint8_t *qos)
{
    if (fan->at == fan->count)
        return false;
    *session = fan->places[fan->at].session;
    *qos = fan->places[fan->at++].qos;
    return true;
}

bool fan_outs_next(struct fan_outs *fans, struct fan_target *target)
{
    struct fan_out *fan;
    for (; (fan = fans->first); drop_first(fans))
        if (fan->reach ? reach_take(fan->reach, &target->session, &target->qos)
                       : next_place(fan, &target->session, &target->qos)) {
            target->message = message_ref(fan->message);
            if (!fan->reach && fan->at == fan->count)
                drop_first(fans);
            return true;
        }
    return false;
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
