// SPDX-License-Identifier: Apache-2.0
#include "loadgen/asked.h"

#include "base/clock.h"

#include <string.h>

// -1: of no kind.
static int kind_of(const struct fleet_order *order)
{
    switch (order->act) {
    case FLEET_CONNECT:
        return ASKED_CONNECTS;
    case FLEET_ARRIVE:
        return ASKED_ARRIVALS;
    case FLEET_PUBLISH:
        return ASKED_MESSAGES;
    case FLEET_SUBSCRIBE:
        return order->removes ? ASKED_UNSUBSCRIBES : ASKED_SUBSCRIBES;
    default:
        return -1;
    }
}

static bool has_duration(const struct fleet_order *order)
{
    return order->act == FLEET_PUBLISH ||
           (order->act == FLEET_ARRIVE && order->arrivals == FLEET_ARRIVALS_TURNS);
}

// The intended time of act `act`. Of a Poisson process that of its mean, which needs no sum of all acts.
static int64_t due_ns(const struct schedule *schedule, int64_t act)
{
    struct schedule mean = *schedule;
    if (mean.shape.kind == SCHEDULE_POISSON)
        mean.shape.kind = SCHEDULE_CONSTANT;
    return schedule_at(&mean, act);
}

void asked_begin(struct asked *asked, const struct fleet_order *order)
{
    int kind = kind_of(order);
    if (kind < 0 || asked->count >= ASKED_ORDERS_MAX)
        return;
    struct asked_order *own = &asked->orders[asked->count++];
    int64_t from_ns = order->at_ns + (order->act == FLEET_ARRIVE ? order->away_ns : 0);
    *own = (struct asked_order){
        .kind = (enum asked_kind)kind,
        .from_ns = from_ns,
        .to_ns = from_ns + order->duration_ns,
        .schedule = {.start_ns = from_ns, .rate_per_s = order->rate_per_s, .shape = order->shape}};
    if (!(order->rate_per_s > 0))
        return;
    int64_t acts = (order->goal - order->before) * (order->act == FLEET_SUBSCRIBE ? order->filters : 1);
    if (!has_duration(order))
        own->to_ns = due_ns(&own->schedule, acts);
    // Of a shape that orders before have begun: its own beginning, from which its rate follows.
    int64_t first = own->schedule.shape.first;
    own->schedule.shape.first = 0;
    own->schedule.start_ns -= due_ns(&own->schedule, first) - from_ns;
}

// The acts that are due in the part of the time in which the order has some.
static double due_between(const struct asked_order *order, int64_t since_ns, int64_t now_ns, bool *whole)
{
    int64_t from_ns = since_ns > order->from_ns ? since_ns : order->from_ns;
    int64_t to_ns = now_ns < order->to_ns ? now_ns : order->to_ns;
    *whole = from_ns == since_ns && to_ns == now_ns;
    return to_ns > from_ns
               ? schedule_mean_per_s(&order->schedule, from_ns, to_ns) * (double)(to_ns - from_ns) / 1e9
               : 0;
}

void asked_end(struct asked *asked, int64_t since_ns, int64_t now_ns)
{
    bool whole;
    for (int i = 0; i < asked->count; i++) {
        const struct asked_order *order = &asked->orders[i];
        asked->ended[order->kind] = true;
        if (order->schedule.rate_per_s > 0)
            asked->due[order->kind] += due_between(order, since_ns, now_ns, &whole);
        else
            asked->free[order->kind] = true;
    }
    asked->count = 0;
}

bool asked_has_ended(const struct asked *asked)
{
    for (int kind = 0; kind < ASKED_KINDS; kind++)
        if (asked->ended[kind])
            return true;
    return false;
}

void asked_take(struct asked *asked, int64_t since_ns, int64_t now_ns, struct asked_now of[ASKED_KINDS])
{
    double span_s = (double)(now_ns - since_ns) / 1e9;
    for (int kind = 0; kind < ASKED_KINDS; kind++)
        of[kind] = (struct asked_now){.under_way = asked->ended[kind],
                                      .per_s = span_s > 0 ? asked->due[kind] / span_s : 0};
    for (int i = 0; i < asked->count; i++) {
        const struct asked_order *order = &asked->orders[i];
        bool whole = false;
        of[order->kind].under_way = true;
        if (!(order->schedule.rate_per_s > 0)) {
            asked->free[order->kind] = true;
            continue;
        }
        double due = due_between(order, since_ns, now_ns, &whole);
        if (whole && span_s > 0) // the mean itself: a constant rate stays the number that was given
            of[order->kind].per_s += schedule_mean_per_s(&order->schedule, since_ns, now_ns);
        else if (span_s > 0)
            of[order->kind].per_s += due / span_s;
    }
    for (int kind = 0; kind < ASKED_KINDS; kind++)
        if (asked->free[kind])
            of[kind].per_s = 0;
    memset(asked->ended, 0, sizeof asked->ended);
    memset(asked->free, 0, sizeof asked->free);
    memset(asked->due, 0, sizeof asked->due);
}
