// SPDX-License-Identifier: Apache-2.0
#include "broker/net/timer_wheel.h"

#include <stddef.h>
#include <string.h>

void timer_wheel_init(struct timer_wheel *wheel, uint32_t tick)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->tick = tick;
}

static void push(struct timer_node **head, struct timer_node *node)
{
    node->next = *head;
    node->link = head;
    if (node->next)
        node->next->link = &node->next;
    *head = node;
}

void timer_wheel_add(struct timer_wheel *wheel, struct timer_node *node, uint32_t deadline_tick)
{
    if (deadline_tick <= wheel->tick)
        deadline_tick = wheel->tick + 1;
    node->deadline_tick = deadline_tick;
    if (deadline_tick == TIMER_NEVER)
        push(&wheel->never, node);
    else
        push(&wheel->slots[deadline_tick % TIMER_WHEEL_SLOTS], node);
}

void timer_wheel_remove(struct timer_node *node)
{
    if (!node->link)
        return;
    *node->link = node->next;
    if (node->next)
        node->next->link = node->link;
    node->next = NULL;
    node->link = NULL;
}

// Due nodes leave the slot before the first call. So a callback may remove any of them, and may add nodes to
// the same slot, which wait for a later round.
static void collect_due(struct timer_node **slot, uint32_t tick, struct timer_node **due)
{
    struct timer_node *next;
    for (struct timer_node *node = *slot; node; node = next) {
        next = node->next;
        if (node->deadline_tick <= tick) {
            timer_wheel_remove(node);
            push(due, node);
        }
    }
}

void timer_wheel_turn(struct timer_wheel *wheel, uint32_t tick)
{
    if (tick <= wheel->tick)
        return;
    // After a long pause one round visits every slot; a second round would find nothing more.
    uint32_t first = tick - wheel->tick > TIMER_WHEEL_SLOTS ? tick - TIMER_WHEEL_SLOTS + 1 : wheel->tick + 1;
    wheel->tick = tick;
    for (uint32_t at = first; at <= tick; at++)
        collect_due(&wheel->slots[at % TIMER_WHEEL_SLOTS], tick, &wheel->due);
}

struct timer_node *timer_wheel_take_due(struct timer_wheel *wheel)
{
    struct timer_node *node = wheel->due;
    if (node)
        timer_wheel_remove(node);
    return node;
}

void timer_wheel_advance(struct timer_wheel *wheel, uint32_t tick, timer_expired *expired, void *context)
{
    struct timer_node *node;
    timer_wheel_turn(wheel, tick);
    while ((node = timer_wheel_take_due(wheel)))
        expired(node, context);
}

struct timer_node *timer_wheel_any(const struct timer_wheel *wheel)
{
    for (size_t i = 0; i < TIMER_WHEEL_SLOTS; i++)
        if (wheel->slots[i])
            return wheel->slots[i];
    return wheel->due ? wheel->due : wheel->never;
}

static void visit_slot(struct timer_node *node, timer_expired *visit, void *context)
{
    struct timer_node *next;
    for (; node; node = next) {
        next = node->next;
        visit(node, context);
    }
}

void timer_wheel_visit(const struct timer_wheel *wheel, timer_expired *visit, void *context)
{
    for (size_t i = 0; i < TIMER_WHEEL_SLOTS; i++)
        visit_slot(wheel->slots[i], visit, context);
    visit_slot(wheel->due, visit, context);
    visit_slot(wheel->never, visit, context);
}

bool timer_wheel_is_valid(const struct timer_wheel *wheel)
{
    for (uint32_t i = 0; i < TIMER_WHEEL_SLOTS; i++) {
        struct timer_node *const *link = &wheel->slots[i];
        for (const struct timer_node *node = *link; node; link = &node->next, node = *link)
            if (node->link != link || node->deadline_tick % TIMER_WHEEL_SLOTS != i ||
                node->deadline_tick <= wheel->tick)
                return false;
    }
    return true;
}
