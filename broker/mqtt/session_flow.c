// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/session_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// The bytes of a message that count for the rules.
static int64_t weight(const struct message *message)
{
    return message ? (int64_t)message_bytes(message) : 0;
}

// Allocates memory for a flow, counted in the account.
static void *take(const struct session_flow *flow, size_t bytes)
{
    if (!account_take(flow->rules->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes)))
        return NULL;
    void *memory = malloc(bytes);
    if (!memory)
        account_give(flow->rules->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes));
    return memory;
}

static void give(const struct session_flow *flow, void *memory, size_t bytes)
{
    if (!memory)
        return;
    account_give(flow->rules->account, ACCOUNT_SESSIONS, account_heap_bytes(bytes));
    free(memory);
}

static void give_queue(const struct session_flow *flow)
{
    if (flow->queue != flow->inline_queue)
        give(flow, flow->queue, flow->queue_capacity * sizeof *flow->queue);
}

static void give_inflight(const struct session_flow *flow)
{
    if (flow->inflight != flow->inline_inflight)
        give(flow, flow->inflight, flow->inflight_capacity * sizeof *flow->inflight);
}

static void empty(struct session_flow *flow)
{
    flow->inflight = flow->inline_inflight;
    flow->queue = flow->inline_queue;
    flow->received = NULL;
    flow->inflight_count = flow->queue_first = flow->queue_count = 0;
    flow->received_count = flow->received_capacity = 0;
    flow->inflight_capacity = flow->queue_capacity = FLOW_INLINE;
    flow->inflight_bytes = flow->queue_bytes = 0;
    flow->needs_restart = flow->is_lapped = false;
}

void flow_init(struct session_flow *flow, const struct flow_rules *rules, bool in_arena)
{
    flow->rules = rules;
    flow->replays = (struct replays){NULL, NULL};
    flow->part = NULL;
    flow->in_arena = in_arena;
    flow->before_packet_id = flow->last_packet_id = rules->packet_ids ? *rules->packet_ids : 0;
    empty(flow);
}

void flow_keep_ids(const struct session_flow *flow)
{
    uint16_t given = (uint16_t)(flow->last_packet_id - flow->before_packet_id);
    if (flow->rules->packet_ids)
        *flow->rules->packet_ids = (uint16_t)(*flow->rules->packet_ids + given);
}

bool flow_clear_some(struct session_flow *flow, uint32_t most)
{
    for (; most > 0; most--) {
        if (flow->replays.first)
            replays_drop_first(&flow->replays, flow->rules->account);
        else if (flow->queue_count > 0)
            flow_queue_drop_front(flow);
        else if (flow->inflight_count > 0)
            flow_inflight_remove(flow, flow_inflight_last(flow));
        else
            return true;
    }
    return !flow->replays.first && flow->queue_count == 0 && flow->inflight_count == 0;
}

void flow_clear(struct session_flow *flow)
{
    while (!flow_clear_some(flow, UINT32_MAX))
        continue;
    flow_part_done(flow);
    give_inflight(flow);
    give_queue(flow);
    give(flow, flow->received, flow->received_capacity * sizeof *flow->received);
    empty(flow);
}

bool flow_is_empty(const struct session_flow *flow)
{
    return flow->inflight_count == 0 && flow->queue_count == 0 && flow->received_count == 0 &&
           !flow->replays.first && !flow->part;
}

struct flow_part *flow_part_need(struct session_flow *flow)
{
    if (!flow->part && (flow->part = take(flow, sizeof *flow->part)))
        *flow->part = (struct flow_part){.answer = NULL};
    return flow->part;
}

void flow_part_done(struct session_flow *flow)
{
    if (flow->part)
        message_unref(flow->part->answer);
    give(flow, flow->part, sizeof *flow->part);
    flow->part = NULL;
}

static int grow_queue(struct session_flow *flow)
{
    uint32_t capacity = flow->queue_capacity * 2;
    struct delivery *queue = take(flow, capacity * sizeof *queue);
    if (!queue)
        return -ENOMEM;
    for (uint32_t i = 0; i < flow->queue_count; i++)
        queue[i] = flow->queue[(flow->queue_first + i) & (flow->queue_capacity - 1)];
    give_queue(flow);
    flow->queue = queue;
    flow->queue_first = 0;
    flow->queue_capacity = capacity;
    return 0;
}

int flow_queue_push(struct session_flow *flow, struct message *message, uint8_t qos, bool retain)
{
    const struct flow_rules *rules = flow->rules;
    int64_t bytes = flow->queue_bytes + weight(message);
    if (flow->queue_count >= rules->max_queued ||
        (flow->queue_count > 0 && rules->max_queued_bytes > 0 && bytes > rules->max_queued_bytes))
        return -EDQUOT;
    if (flow->queue_count == flow->queue_capacity && grow_queue(flow) < 0)
        return -ENOMEM;
    flow->queue_bytes = bytes;
    uint32_t at = (flow->queue_first + flow->queue_count) & (flow->queue_capacity - 1);
    flow->queue[at] = (struct delivery){.message = message_ref(message), .qos = qos, .retain = retain};
    flow->queue_count++;
    return 0;
}

struct delivery *flow_queue_front(struct session_flow *flow)
{
    return flow->queue_count > 0 ? &flow->queue[flow->queue_first] : NULL;
}

struct delivery *flow_queue_back(struct session_flow *flow)
{
    return &flow->queue[(flow->queue_first + flow->queue_count - 1) & (flow->queue_capacity - 1)];
}

void flow_queue_drop_front(struct session_flow *flow)
{
    struct message *message = flow->queue[flow->queue_first].message;
    flow->queue_bytes -= weight(message);
    message_unref(message);
    flow->queue_first = (flow->queue_first + 1) & (flow->queue_capacity - 1);
    flow->queue_count--;
    // A grown queue frees its memory once it is empty.
    if (flow->queue_count == 0 && flow->queue != flow->inline_queue) {
        give_queue(flow);
        flow->queue = flow->inline_queue;
        flow->queue_capacity = FLOW_INLINE;
        flow->queue_first = 0;
    }
}

static int grow_inflight(struct session_flow *flow)
{
    uint32_t capacity = flow->inflight_capacity * 4;
    struct delivery *inflight = take(flow, capacity * sizeof *inflight);
    if (!inflight)
        return -ENOMEM;
    memcpy(inflight, flow->inflight, flow->inflight_count * sizeof *inflight);
    give_inflight(flow);
    flow->inflight = inflight;
    flow->inflight_capacity = capacity;
    return 0;
}

int flow_inflight_restore(struct session_flow *flow, const struct delivery *delivery)
{
    const struct flow_rules *rules = flow->rules;
    struct message *message = delivery->message;
    int64_t bytes = flow->inflight_bytes + weight(message);
    if (flow->inflight_count >= rules->max_inflight ||
        (flow->inflight_count > 0 && rules->max_queued_bytes > 0 && bytes > rules->max_queued_bytes))
        return -EAGAIN;
    if (flow->inflight_count == flow->inflight_capacity && grow_inflight(flow) < 0)
        return -ENOMEM;
    if (delivery->packet_id != flow->last_packet_id)
        flow->is_lapped = true;
    flow->inflight_bytes = bytes;
    flow->inflight[flow->inflight_count++] = *delivery;
    if (message)
        message_ref(message);
    return 0;
}

int flow_inflight_add(struct session_flow *flow, struct message *message, uint8_t qos, bool retain,
                      uint16_t packet_id)
{
    return flow_inflight_restore(flow, &(struct delivery){.message = message,
                                                          .packet_id = packet_id,
                                                          .qos = qos,
                                                          .stage = DELIVERY_SENT,
                                                          .retain = retain});
}

struct delivery *flow_inflight_last(struct session_flow *flow)
{
    return &flow->inflight[flow->inflight_count - 1];
}

// Clients acknowledge in order, so the match is nearly always the first entry.
struct delivery *flow_inflight_find(struct session_flow *flow, uint16_t packet_id)
{
    for (uint32_t i = 0; i < flow->inflight_count; i++)
        if (flow->inflight[i].packet_id == packet_id)
            return &flow->inflight[i];
    return NULL;
}

// Ids are given in their order. So the next one is free, until they have come round to the oldest in flight. Then those in
// flight are searched, until none is left.
static bool is_in_flight(struct session_flow *flow, uint16_t packet_id)
{
    if (flow->inflight_count == 0)
        flow->is_lapped = false;
    else if (packet_id == flow->inflight[0].packet_id)
        flow->is_lapped = true;
    return flow->is_lapped && flow_inflight_find(flow, packet_id);
}

uint16_t flow_next_packet_id(struct session_flow *flow)
{
    // This ends, because fewer messages are in flight than there are ids.
    do
        flow->last_packet_id++;
    while (flow->last_packet_id == 0 || is_in_flight(flow, flow->last_packet_id));
    return flow->last_packet_id;
}

void flow_inflight_release(struct session_flow *flow, struct delivery *delivery)
{
    flow->inflight_bytes -= weight(delivery->message);
    message_unref(delivery->message);
    delivery->message = NULL;
    delivery->stage = DELIVERY_RELEASE;
}

void flow_inflight_remove(struct session_flow *flow, struct delivery *delivery)
{
    flow->inflight_bytes -= weight(delivery->message);
    message_unref(delivery->message);
    size_t at = (size_t)(delivery - flow->inflight);
    flow->inflight_count--;
    memmove(delivery, delivery + 1, (flow->inflight_count - at) * sizeof *delivery);
}

void flow_inflight_restart(struct session_flow *flow)
{
    flow->needs_restart = flow->inflight_count > 0;
    for (uint32_t i = 0; i < flow->inflight_count; i++) {
        struct delivery *delivery = &flow->inflight[i];
        if (delivery->stage == DELIVERY_SENT) {
            delivery->stage = DELIVERY_UNSENT;
            delivery->dup = true;
        } else if (delivery->stage == DELIVERY_RELEASED) {
            delivery->stage = DELIVERY_RELEASE;
        }
    }
}

// The index of `packet_id` in `received`, or the index to insert it.
static uint32_t received_place(const struct session_flow *flow, uint16_t packet_id)
{
    uint32_t low = 0, high = flow->received_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (flow->received[middle] < packet_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int flow_received_add(struct session_flow *flow, uint16_t packet_id)
{
    uint32_t at = received_place(flow, packet_id);
    if (at < flow->received_count && flow->received[at] == packet_id)
        return 0;
    if (flow->received_count == flow->received_capacity) {
        uint32_t capacity = flow->received_capacity ? flow->received_capacity * 2 : 8;
        uint16_t *received = take(flow, capacity * sizeof *received);
        if (!received)
            return -ENOMEM;
        if (flow->received_count > 0)
            memcpy(received, flow->received, flow->received_count * sizeof *received);
        give(flow, flow->received, flow->received_capacity * sizeof *received);
        flow->received = received;
        flow->received_capacity = capacity;
    }
    memmove(&flow->received[at + 1], &flow->received[at],
            (flow->received_count - at) * sizeof *flow->received);
    flow->received[at] = packet_id;
    flow->received_count++;
    return 1;
}

bool flow_received_remove(struct session_flow *flow, uint16_t packet_id)
{
    uint32_t at = received_place(flow, packet_id);
    if (at == flow->received_count || flow->received[at] != packet_id)
        return false;
    flow->received_count--;
    memmove(&flow->received[at], &flow->received[at + 1],
            (flow->received_count - at) * sizeof *flow->received);
    return true;
}

bool flow_is_valid(const struct session_flow *flow)
{
    int64_t inflight_bytes = 0, queue_bytes = 0;
    for (uint32_t i = 0; i < flow->inflight_count; i++)
        inflight_bytes += weight(flow->inflight[i].message);
    for (uint32_t i = 0; i < flow->queue_count; i++)
        queue_bytes += weight(flow->queue[(flow->queue_first + i) & (flow->queue_capacity - 1)].message);
    if (inflight_bytes != flow->inflight_bytes || queue_bytes != flow->queue_bytes ||
        flow->inflight_count > flow->rules->max_inflight || flow->inflight_count > flow->inflight_capacity ||
        flow->queue_count > flow->queue_capacity || flow->received_count > flow->received_capacity ||
        (flow->queue_capacity & (flow->queue_capacity - 1)) != 0)
        return false;
    for (uint32_t i = 0; i < flow->inflight_count; i++) {
        const struct delivery *delivery = &flow->inflight[i];
        if (delivery->packet_id == 0 || (delivery->message != NULL) != (delivery->stage < DELIVERY_RELEASE))
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (flow->inflight[j].packet_id == delivery->packet_id)
                return false;
    }
    for (uint32_t i = 1; i < flow->received_count; i++)
        if (flow->received[i - 1] >= flow->received[i])
            return false;
    return true;
}
