// SPDX-License-Identifier: Apache-2.0
// Deadlines of many connections: a hashed timing wheel (Varghese and Lauck 1987, scheme 6). Adding and
// removing cost a few stores. A tick visits one slot. It skips nodes there whose deadline is in a later round
// of the wheel.
//
// A node is embedded in the object that it times. It costs 24 bytes, 4 of which are free for the owner. The
// wheel allocates nothing. One thread per wheel. The caller counts ticks of TIMER_TICK_NS from its own start.
//
//     timer_wheel_init(&wheel, 0);
//     timer_wheel_add(&wheel, &connection->timer, tick + 90 * TIMER_TICKS_PER_S);
//     timer_wheel_advance(&wheel, tick_now, on_expired, context);
#ifndef POOLMARK_BROKER_NET_TIMER_WHEEL_H
#define POOLMARK_BROKER_NET_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { TIMER_WHEEL_SLOTS = 512, TIMER_TICKS_PER_S = 4 };
#define TIMER_TICK_NS (INT64_C(1000000000) / TIMER_TICKS_PER_S)
#define TIMER_NEVER UINT32_MAX // a deadline that is never reached; timer_wheel_any still finds the node

struct timer_node {
    struct timer_node *next, **link; // link: the pointer to this node; NULL when in no wheel
    uint32_t deadline_tick;
    uint32_t owner_word; // free for the owner
};

struct timer_wheel {
    uint32_t tick; // every deadline up to this tick has been called
    struct timer_node *slots[TIMER_WHEEL_SLOTS];
    struct timer_node *never; // nodes with TIMER_NEVER
    struct timer_node *due;   // reached, and not called yet
};

void timer_wheel_init(struct timer_wheel *wheel, uint32_t tick);

// The node must be in no wheel. A deadline in the past is called at the next tick.
void timer_wheel_add(struct timer_wheel *wheel, struct timer_node *node, uint32_t deadline_tick);
void timer_wheel_remove(struct timer_node *node); // does nothing when the node is in no wheel

// Calls `expired` for each node due up to `tick`, after taking the node out of the wheel. `expired` may add
// and remove any node.
typedef void timer_expired(struct timer_node *node, void *context);
void timer_wheel_advance(struct timer_wheel *wheel, uint32_t tick, timer_expired *expired, void *context);

// The same in portions. timer_wheel_turn notes which nodes are due up to `tick`. timer_wheel_take_due takes one of them
// out of the wheel; NULL: none is left.
void timer_wheel_turn(struct timer_wheel *wheel, uint32_t tick);
struct timer_node *timer_wheel_take_due(struct timer_wheel *wheel);

// Any node of the wheel, or NULL when it is empty. For emptying the wheel.
struct timer_node *timer_wheel_any(const struct timer_wheel *wheel);

// Calls `visit` for each node, due or not. `visit` may remove the node that it was called for, and add it again; then it may be
// called for that node once more. It must remove no other node.
void timer_wheel_visit(const struct timer_wheel *wheel, timer_expired *visit, void *context);

bool timer_wheel_is_valid(const struct timer_wheel *wheel);

#endif
