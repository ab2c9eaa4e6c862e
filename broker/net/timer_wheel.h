// SPDX-License-Identifier: Apache-2.0
// Deadlines of many connections: a hashed timing wheel (Varghese and Lauck 1987, scheme 6). Adding and
// removing are a few stores; a tick looks at one slot. A deadline further off than one turn stays in its slot
// and is passed over.
//
// A node lies inside what it times and costs 24 bytes, 4 of which are the owner's to use. Nothing is
// allocated. One thread per wheel. Ticks are counted by the caller from its own start, TIMER_TICK_NS each.
//
//     timer_wheel_init(&wheel, 0);
//     timer_wheel_add(&wheel, &connection->timer, tick + 90 * TIMER_TICKS_PER_S);
//     timer_wheel_advance(&wheel, tick_now, on_expired, context);   // each node due is out of the wheel when
//     called
#ifndef POOLMARK_BROKER_NET_TIMER_WHEEL_H
#define POOLMARK_BROKER_NET_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { TIMER_WHEEL_SLOTS = 512, TIMER_TICKS_PER_S = 4 };
#define TIMER_TICK_NS (INT64_C(1000000000) / TIMER_TICKS_PER_S)
#define TIMER_NEVER                                                                                          \
    UINT32_MAX // a deadline that is never reached: in the wheel, so that it is found, and no more

struct timer_node {
    struct timer_node *next, **link; // link: what points at this node; NULL when in no wheel
    uint32_t deadline_tick;
    uint32_t owner_word; // the owner's to use
};

struct timer_wheel {
    uint32_t tick; // every deadline up to this one has been called
    struct timer_node *slots[TIMER_WHEEL_SLOTS];
    struct timer_node *never; // those with TIMER_NEVER
};

void timer_wheel_init(struct timer_wheel *wheel, uint32_t tick);

// A deadline that is past already is called at the next tick. The node must be in no wheel.
void timer_wheel_add(struct timer_wheel *wheel, struct timer_node *node, uint32_t deadline_tick);
void timer_wheel_remove(struct timer_node *node); // fine when it is in none

// Calls `expired` for each node due up to `tick`. It may add and remove any nodes, also the one it is called
// with.
typedef void timer_expired(struct timer_node *node, void *context);
void timer_wheel_advance(struct timer_wheel *wheel, uint32_t tick, timer_expired *expired, void *context);

// Any node that is in the wheel, or NULL: for emptying it.
struct timer_node *timer_wheel_any(const struct timer_wheel *wheel);

bool timer_wheel_is_valid(const struct timer_wheel *wheel);

#endif
