// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/newcomers.h"

#include "broker/mqtt/account.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 64, CAPACITY_MAX = 1 << 30 };

static size_t bytes_of(uint32_t capacity)
{
    return capacity * sizeof(struct newcomer);
}

static bool grow(struct newcomers *newcomers, struct account *account)
{
    uint32_t before = newcomers->capacity, capacity = before ? 2 * before : CAPACITY_MIN;
    if (before == CAPACITY_MAX ||
        !account_take(account, ACCOUNT_CONNECTIONS, account_heap_bytes(bytes_of(capacity))))
        return false;
    struct newcomer *places = realloc(newcomers->places, bytes_of(capacity));
    if (!places) {
        account_give(account, ACCOUNT_CONNECTIONS, account_heap_bytes(bytes_of(capacity)));
        return false;
    }
    if (before)
        account_give(account, ACCOUNT_CONNECTIONS, account_heap_bytes(bytes_of(before)));
    else
        places[0] = (struct newcomer){0};
    for (uint32_t i = before ? before : 1; i < capacity; i++)
        places[i] = (struct newcomer){.next = i + 1 < capacity ? i + 1 : 0};
    newcomers->free = before ? before : 1;
    newcomers->places = places;
    newcomers->capacity = capacity;
    return true;
}

uint32_t newcomers_add(struct newcomers *newcomers, struct account *account, struct connection *connection)
{
    if (newcomers->free == 0 && !grow(newcomers, account))
        return 0;
    struct newcomer *places = newcomers->places;
    uint32_t place = newcomers->free, last = places[0].previous;
    newcomers->free = places[place].next;
    places[place] = (struct newcomer){connection, 0, last};
    places[last].next = place;
    places[0].previous = place;
    newcomers->count++;
    return place;
}

void newcomers_remove(struct newcomers *newcomers, uint32_t place, const struct connection *connection)
{
    struct newcomer *places = newcomers->places;
    if (place == 0 || place >= newcomers->capacity || places[place].connection != connection)
        return;
    places[places[place].previous].next = places[place].next;
    places[places[place].next].previous = places[place].previous;
    places[place] = (struct newcomer){.next = newcomers->free};
    newcomers->free = place;
    newcomers->count--;
}

uint32_t newcomers_oldest(const struct newcomers *newcomers)
{
    return newcomers->places ? newcomers->places[0].next : 0;
}

uint32_t newcomers_next(const struct newcomers *newcomers, uint32_t place)
{
    return newcomers->places[place].next;
}

void newcomers_close(struct newcomers *newcomers, struct account *account)
{
    if (newcomers->places)
        account_give(account, ACCOUNT_CONNECTIONS, account_heap_bytes(bytes_of(newcomers->capacity)));
    free(newcomers->places);
    *newcomers = (struct newcomers){0};
}

bool newcomers_is_valid(const struct newcomers *newcomers)
{
    const struct newcomer *places = newcomers->places;
    uint32_t count = 0, before = 0;
    if (!places)
        return newcomers->capacity == 0 && newcomers->free == 0 && newcomers->count == 0;
    for (uint32_t at = places[0].next; at != 0; before = at, at = places[at].next)
        if (++count >= newcomers->capacity || !places[at].connection || places[at].previous != before)
            return false;
    if (places[0].previous != before || count != newcomers->count)
        return false;
    for (uint32_t at = newcomers->free; at != 0; at = places[at].next)
        if (++count >= newcomers->capacity || places[at].connection)
            return false;
    return count == newcomers->capacity - 1;
}
