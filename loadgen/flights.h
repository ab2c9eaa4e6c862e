// SPDX-License-Identifier: Apache-2.0
// Messages under way: of each that was sent and has not ended, when it was meant to be sent and when it was.
//
// They are kept so that what never ends still has an age. A list rises by `sent_ns`, which tells its messages
// apart. What has ended leaves at once when it is the oldest, and otherwise when half of the list has ended.
// One thread. All lists of a worker share a budget: past it flights_add fails, and the message is not to be
// sent.
//
//     struct flights flights = {.budget = &budget};
//     if (flights_add(&flights, intended_ns, sent_ns) == 0) ... send
//     if (flights_take(&flights, sent_ns)) ... it has arrived, for the first time
//     for (i = flights.first; i < flights.count; i++) if (flights.list[i].sent_ns) ... it never did
#ifndef POOLMARK_LOADGEN_FLIGHTS_H
#define POOLMARK_LOADGEN_FLIGHTS_H

#include <stdbool.h>
#include <stdint.h>

struct flight {
    int64_t intended_ns;
    int64_t sent_ns; // 0: has ended
};

struct flights {
    struct flight *list;
    uint32_t first, count; // list[first] to list[count - 1], by sent_ns
    uint32_t capacity;
    uint32_t ended;  // of those, how many have
    uint32_t next;   // after the one that ended last: messages mostly end in order
    int64_t *budget; // bytes that all lists may still take
};

// -ENOBUFS when the budget is spent, -ENOMEM; nothing was added then. `sent_ns` is above that of the one
// before.
int flights_add(struct flights *flights, int64_t intended_ns, int64_t sent_ns)
    __attribute__((warn_unused_result));

// Ends the message sent then; false when there is none: it ended before, or is none of this list.
bool flights_take(struct flights *flights, int64_t sent_ns);

uint32_t flights_left(const struct flights *flights); // that have not ended
void flights_free(struct flights *flights);           // and gives the budget back

#endif
