// SPDX-License-Identifier: Apache-2.0
// What a run asks for while it goes on: the orders that are under way, by the kind of their acts, and how many acts
// their schedules have due in a time. One thread.
//
// A time in which a schedule runs only in part asks for less than the rate of the schedule: what was had in that time is
// beside what was due in it. Times are of the monotonic clock.
//
//     asked_begin(&run->asked, &order);                        // order.at_ns is set
//     asked_take(&run->asked, before_ns, now_ns, of);          // each second
//     asked_end(&run->asked, before_ns, clock_now_ns());       // the orders are done; their part counts in the next take
#ifndef POOLMARK_LOADGEN_ASKED_H
#define POOLMARK_LOADGEN_ASKED_H

#include "loadgen/fleet.h"
#include "loadgen/schedule.h"

#include <stdbool.h>
#include <stdint.h>

enum asked_kind {
    ASKED_CONNECTS,
    ASKED_ARRIVALS,
    ASKED_MESSAGES,
    ASKED_SUBSCRIBES,
    ASKED_UNSUBSCRIBES,
    ASKED_KINDS
};

enum { ASKED_ORDERS_MAX = 32 }; // at a time; more are not seen

struct asked_order {
    enum asked_kind kind;
    int64_t from_ns, to_ns; // the time in which its acts are due; without a rate not known
    struct schedule schedule;
};

struct asked {
    struct asked_order orders[ASKED_ORDERS_MAX];
    int count;
    // Of orders that have ended since the last take: were there some, was one without a rate, and what was due of the others.
    bool ended[ASKED_KINDS], free[ASKED_KINDS];
    double due[ASKED_KINDS];
};

struct asked_now {
    bool under_way; // for a part of the time at least
    double
        per_s; // due in the time, a second; 0: nothing was due, or one of the orders goes as fast as it can
};

// An order that ends clients, or asks them for signs of life, is of no kind and changes nothing.
void asked_begin(struct asked *asked, const struct fleet_order *order);
void asked_end(struct asked *asked, int64_t since_ns, int64_t now_ns);
// Has an order ended since the last take?
bool asked_has_ended(const struct asked *asked);
void asked_take(struct asked *asked, int64_t since_ns, int64_t now_ns, struct asked_now of[ASKED_KINDS]);

#endif
