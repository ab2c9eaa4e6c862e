// SPDX-License-Identifier: Apache-2.0
// Messages under way: the intended time and the send time of each message that was sent and has not ended.
//
// They are kept so that a message that never ends still has an age. A list rises by `sent_ns`, which
// identifies its messages. An ended message leaves at once if it is the oldest, otherwise when half of the
// list has ended. One thread. All lists of a worker share a budget. Beyond it flights_add fails, and the
// message must not be sent.
//
//     struct flights flights = {.budget = &budget};
//     if (flights_add(&flights, intended_ns, sent_ns) == 0) ...    // send it
//     if (flights_take(&flights, sent_ns)) ...                     // it has arrived, for the first time
//     for (i = flights.first; i < flights.count; i++)
//         if (flights.list[i].sent_ns) ...                         // it never arrived
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
    uint32_t ended;  // messages in the list that have ended
    uint32_t next;   // place after the message that ended last: messages mostly end in order
    int64_t *budget; // bytes that all lists may still take
};

// -ENOBUFS when the budget is spent, -ENOMEM; nothing was added then. `sent_ns` must be above that of the
// message before.
int flights_add(struct flights *flights, int64_t intended_ns, int64_t sent_ns)
    __attribute__((warn_unused_result));

// Ends the message that was sent at `sent_ns`. False: it has ended before, or is not in this list.
bool flights_take(struct flights *flights, int64_t sent_ns);

uint32_t flights_left(const struct flights *flights); // messages that have not ended
void flights_free(struct flights *flights);           // and gives the budget back

#endif
