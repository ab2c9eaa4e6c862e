// SPDX-License-Identifier: Apache-2.0
#include "loadgen/flights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 16, TIDY_FROM = 64 };

// Closes the gaps: moves the messages that have not ended to the beginning.
static void tidy(struct flights *flights)
{
    uint32_t kept = 0, next = 0;
    for (uint32_t i = flights->first; i < flights->count; i++) {
        if (i == flights->next)
            next = kept;
        if (flights->list[i].sent_ns)
            flights->list[kept++] = flights->list[i];
    }
    flights->next = flights->next >= flights->count ? kept : next;
    flights->first = 0;
    flights->count = kept;
    flights->ended = 0;
}

static int grow(struct flights *flights)
{
    uint32_t capacity = flights->capacity ? flights->capacity * 2 : CAPACITY_FIRST;
    int64_t more = (int64_t)(capacity - flights->capacity) * (int64_t)sizeof *flights->list;
    if (more > *flights->budget)
        return -ENOBUFS;
    struct flight *list = realloc(flights->list, capacity * sizeof *list);
    if (!list)
        return -ENOMEM;
    *flights->budget -= more;
    flights->list = list;
    flights->capacity = capacity;
    return 0;
}

int flights_add(struct flights *flights, int64_t intended_ns, int64_t sent_ns)
{
    if (flights->count == flights->capacity && flights->first > flights->capacity / 2)
        tidy(flights);
    if (flights->count == flights->capacity) {
        int code = grow(flights);
        if (code < 0)
            return code;
    }
    flights->list[flights->count++] = (struct flight){.intended_ns = intended_ns, .sent_ns = sent_ns};
    return 0;
}

// Ended messages have no sent_ns to compare with, so the search steps over them.
static struct flight *find(struct flights *flights, int64_t sent_ns)
{
    // Messages mostly end in order.
    if (flights->next < flights->count && flights->list[flights->next].sent_ns == sent_ns)
        return &flights->list[flights->next];
    uint32_t low = flights->first, high = flights->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, at = middle;
        while (at < high && flights->list[at].sent_ns == 0)
            at++;
        if (at == high) {
            high = middle;
            continue;
        }
        if (flights->list[at].sent_ns == sent_ns)
            return &flights->list[at];
        if (flights->list[at].sent_ns < sent_ns)
            low = at + 1;
        else
            high = middle;
    }
    return NULL;
}

bool flights_take(struct flights *flights, int64_t sent_ns)
{
    struct flight *flight = sent_ns > 0 ? find(flights, sent_ns) : NULL;
    if (!flight)
        return false;
    flight->sent_ns = 0;
    flights->next = (uint32_t)(flight - flights->list) + 1;
    flights->ended++;
    while (flights->first < flights->count && flights->list[flights->first].sent_ns == 0) {
        flights->first++;
        flights->ended--;
    }
    if (flights->first == flights->count)
        flights->first = flights->count = flights->next = 0;
    if (flights->ended > TIDY_FROM && flights->ended > (flights->count - flights->first) / 2)
        tidy(flights);
    return true;
}

uint32_t flights_left(const struct flights *flights)
{
    return flights->count - flights->first - flights->ended;
}

void flights_free(struct flights *flights)
{
    *flights->budget += (int64_t)flights->capacity * (int64_t)sizeof *flights->list;
    free(flights->list);
    *flights = (struct flights){.budget = flights->budget};
}
