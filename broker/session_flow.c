// SPDX-License-Identifier: Apache-2.0
#include "broker/session_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void empty(struct session_flow *flow)
{
    flow->inflight = flow->inline_inflight;
    flow->queue = flow->inline_queue;
    flow->received = NULL;
    flow->inflight_count = flow->queue_first = flow->queue_count = 0;
    flow->received_count = flow->received_capacity = 0;
    flow->inflight_capacity = flow->queue_capacity = FLOW_INLINE;
    flow->needs_restart = false;
}

void flow_init(struct session_flow *flow, bool in_arena)
{
    flow->in_arena = in_arena;
    empty(flow);
}

void flow_clear(struct session_flow *flow)
{
    while (flow->queue_count > 0)
        flow_queue_drop_front(flow);
    for (uint32_t i = 0; i < flow->inflight_count; i++)
        message_unref(flow->inflight[i].message);
    if (flow->inflight != flow->inline_inflight)
        free(flow->inflight);
    if (flow->queue != flow->inline_queue)
        free(flow->queue);
    free(flow->received);
    empty(flow);
}

bool flow_is_empty(const struct session_flow *flow)
{
    return flow->inflight_count == 0 && flow->queue_count == 0 && flow->received_count == 0;
}

static int grow_queue(struct session_flow *flow)
{
    uint32_t capacity = flow->queue_capacity * 2;
    struct delivery *queue = malloc(capacity * sizeof *queue);
    if (!queue)
        return -ENOMEM;
    for (uint32_t i = 0; i < flow->queue_count; i++)
        queue[i] = flow->queue[(flow->queue_first + i) & (flow->queue_capacity - 1)];
    if (flow->queue != flow->inline_queue)
        free(flow->queue);
    flow->queue = queue;
    flow->queue_first = 0;
    flow->queue_capacity = capacity;
    return 0;
}

int flow_queue_push(struct session_flow *flow, struct message *message, uint8_t qos, bool retain)
{
    if (flow->queue_count == flow->queue_capacity && grow_queue(flow) < 0)
        return -ENOMEM;
    uint32_t at = (flow->queue_first + flow->queue_count) & (flow->queue_capacity - 1);
    flow->queue[at] = (struct delivery){.message = message_ref(message), .qos = qos, .retain = retain};
    flow->queue_count++;
    return 0;
}

struct delivery *flow_queue_front(struct session_flow *flow)
{
    return flow->queue_count > 0 ? &flow->queue[flow->queue_first] : NULL;
}

void flow_queue_drop_front(struct session_flow *flow)
{
    message_unref(flow->queue[flow->queue_first].message);
    flow->queue_first = (flow->queue_first + 1) & (flow->queue_capacity - 1);
    flow->queue_count--;
    // A queue that was long gives its memory back once it is empty.
    if (flow->queue_count == 0 && flow->queue != flow->inline_queue) {
        free(flow->queue);
        flow->queue = flow->inline_queue;
        flow->queue_capacity = FLOW_INLINE;
        flow->queue_first = 0;
    }
}

static int grow_inflight(struct session_flow *flow)
{
    uint32_t capacity = flow->inflight_capacity * 4;
    struct delivery *inflight = malloc(capacity * sizeof *inflight);
    if (!inflight)
        return -ENOMEM;
    memcpy(inflight, flow->inflight, flow->inflight_count * sizeof *inflight);
    if (flow->inflight != flow->inline_inflight)
        free(flow->inflight);
    flow->inflight = inflight;
    flow->inflight_capacity = capacity;
    return 0;
}

int flow_inflight_add(struct session_flow *flow, struct message *message, uint8_t qos, bool retain,
                      uint16_t packet_id)
{
    if (flow->inflight_count >= FLOW_INFLIGHT_MAX)
        return -EAGAIN;
    if (flow->inflight_count == flow->inflight_capacity && grow_inflight(flow) < 0)
        return -ENOMEM;
    flow->inflight[flow->inflight_count++] = (struct delivery){.message = message_ref(message),
                                                               .packet_id = packet_id,
                                                               .qos = qos,
                                                               .stage = DELIVERY_SENT,
                                                               .retain = retain};
    return 0;
}

// Clients answer in order, so that it is nearly always the first.
struct delivery *flow_inflight_find(struct session_flow *flow, uint16_t packet_id)
{
    for (uint32_t i = 0; i < flow->inflight_count; i++)
        if (flow->inflight[i].packet_id == packet_id)
            return &flow->inflight[i];
    return NULL;
}

void flow_inflight_release(struct delivery *delivery)
{
    message_unref(delivery->message);
    delivery->message = NULL;
    delivery->stage = DELIVERY_RELEASE;
}

void flow_inflight_remove(struct session_flow *flow, struct delivery *delivery)
{
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

// Where `packet_id` is or belongs in `received`.
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
        uint16_t *received = realloc(flow->received, capacity * sizeof *received);
        if (!received)
            return -ENOMEM;
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
    if (flow->inflight_count > FLOW_INFLIGHT_MAX || flow->inflight_count > flow->inflight_capacity ||
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
