// SPDX-License-Identifier: Apache-2.0
// The connections of a loop whose CONNECT has not come, in the order of their arrival. When places run out, the
// oldest of them make room. So connections that stay silent cannot keep clients out for the whole time that a
// CONNECT may take.
//
// A list in an array: connections have no memory for it, and few are new at a time. One thread: its loop's.
//
//     uint32_t place = newcomers_add(&newcomers, account, connection);
//     newcomers_remove(&newcomers, place, connection);      // its CONNECT has come, or it ends
#ifndef POOLMARK_BROKER_MQTT_NEWCOMERS_H
#define POOLMARK_BROKER_MQTT_NEWCOMERS_H

#include <stdbool.h>
#include <stdint.h>

struct account;
struct connection;

struct newcomer {
    struct connection *connection; // NULL: the place is free
    uint32_t next, previous;       // places; `next` of a free place: the next free one
};

struct newcomers {
    struct newcomer *places; // places[0]: head of the ring, `next` is the oldest; NULL: none was ever needed
    uint32_t capacity, free; // places; `free` 0: none
    uint32_t count;          // connections in the list
};

// Returns the connection's place; 0: no memory, so it is not in the list.
uint32_t newcomers_add(struct newcomers *newcomers, struct account *account, struct connection *connection);

// Does nothing when `connection` is not at `place`, whatever number that is.
void newcomers_remove(struct newcomers *newcomers, uint32_t place, const struct connection *connection);

// The place of the oldest, or of the next younger than that at `place`; 0: none.
uint32_t newcomers_oldest(const struct newcomers *newcomers);
uint32_t newcomers_next(const struct newcomers *newcomers, uint32_t place);

void newcomers_close(struct newcomers *newcomers, struct account *account);
bool newcomers_is_valid(const struct newcomers *newcomers);

#endif
