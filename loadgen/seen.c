// SPDX-License-Identifier: Apache-2.0
#include "loadgen/seen.h"

#include "loadgen/list_grow.h"

#include <stdlib.h>

#define SOCKET_ENDED UINT64_C(0) // none is established at either end
#define SOCKET_OTHER UINT64_MAX  // one is established at the other end

static uint64_t number_of(const struct sockdiag_end *end)
{
    uint64_t number = 0xcbf29ce484222325U;
    for (size_t i = 0; i < sizeof end->address; i++)
        number = (number ^ end->address[i]) * 0x100000001b3U;
    return (number ^ end->port) * 0x9e3779b97f4a7c15U;
}

uint64_t seen_number(const struct sockdiag_row *row)
{
    return number_of(&row->local) + number_of(&row->peer);
}

bool seen_add(struct seen *seen, const struct sockdiag_row *row)
{
    struct seen_list *now = &seen->now;
    struct seen_connection *grown = list_grow(now->list, &now->capacity, now->count, sizeof *grown);
    if (!grown)
        return false;
    now->list = grown;
    bool first = number_of(&row->local) < number_of(&row->peer); // so it is for one of both ends
    now->list[now->count++] = (struct seen_connection){
        .number = seen_number(row),
        .socket = !row->established ? SOCKET_ENDED
                  : first           ? row->cookie
                                    : SOCKET_OTHER,
    };
    return true;
}

static int compare_connections(const void *a, const void *b)
{
    uint64_t left = ((const struct seen_connection *)a)->number,
             right = ((const struct seen_connection *)b)->number;
    return left < right ? -1 : left > right;
}

static bool is_socket(uint64_t socket)
{
    return socket != SOCKET_ENDED && socket != SOCKET_OTHER;
}

// Both ends of a connection may be in the list. Sorts, and leaves each connection once, with what is known of it.
static void join_ends(struct seen_list *connections)
{
    size_t kept = 0;
    if (connections->count > 0)
        qsort(connections->list, connections->count, sizeof *connections->list, compare_connections);
    for (size_t i = 0; i < connections->count; i++) {
        struct seen_connection *one = &connections->list[i],
                               *last = kept > 0 ? &connections->list[kept - 1] : NULL;
        if (!last || last->number != one->number)
            connections->list[kept++] = *one;
        else if (is_socket(one->socket) || last->socket == SOCKET_ENDED)
            last->socket = one->socket;
    }
    connections->count = kept;
}

// Whether the connection was not in the last list.
static bool is_new(const struct seen_list *before, const struct seen_connection *now)
{
    const struct seen_connection *old =
        before->count > 0 ? bsearch(now, before->list, before->count, sizeof *now, compare_connections)
                          : NULL;
    if (!old)
        return true;
    if (old->socket == SOCKET_ENDED)
        return now->socket != SOCKET_ENDED;
    return is_socket(old->socket) && is_socket(now->socket) && old->socket != now->socket;
}

void seen_count_new(struct seen *seen, bool *begun)
{
    join_ends(&seen->now);
    for (size_t i = 0; *begun && i < seen->now.count; i++)
        seen->count += is_new(&seen->before, &seen->now.list[i]);
    *begun = true;
    struct seen_list spare = seen->before;
    seen->before = seen->now;
    seen->now = spare;
}

static void drop(struct seen_list *list)
{
    free(list->list);
    *list = (struct seen_list){0};
}

void seen_forget(struct seen *seen)
{
    drop(&seen->now);
}

void seen_close(struct seen *seen)
{
    drop(&seen->now);
    drop(&seen->before);
}
