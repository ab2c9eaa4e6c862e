// SPDX-License-Identifier: Apache-2.0
#include "loadgen/holders.h"

#include "loadgen/family.h"
#include "loadgen/list_grow.h"
#include "loadgen/listeners.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORTS = 1 << 16 };

struct ends { // sorted before they are searched
    struct tcp_end *list;
    size_t count, capacity;
};

struct look {
    struct ends targets; // their addresses
    struct ends
        clients; // the ends of clients that are connected to these, and of proxies' connections to others
    uint8_t listening[PORTS / 8]; // a bit for each port of this namespace: their connections came from others
    // Of the process that is looked at, which is a watched one or a proxy:
    struct tcp_sockets sockets;
    bool apart; // in another network namespace: the loopback is not ours there
    int64_t held, connected;
};

static int compare(const void *a, const void *b)
{
    const struct tcp_end *one = a, *other = b;
    int order = memcmp(one->address, other->address, sizeof one->address);
    return order ? order : one->port - other->port;
}

static void add(struct ends *ends, const struct tcp_end *end)
{
    struct tcp_end *grown = list_grow(ends->list, &ends->capacity, ends->count, sizeof *grown);
    if (!grown)
        return; // then fewer are found
    ends->list = grown;
    ends->list[ends->count++] = *end;
}

static void sort(struct ends *ends)
{
    if (ends->count > 0)
        qsort(ends->list, ends->count, sizeof *ends->list, compare);
}

static bool has(const struct ends *ends, const struct tcp_end *end)
{
    return ends->count > 0 && bsearch(end, ends->list, ends->count, sizeof *end, compare) != NULL;
}

static bool is_loopback(const struct tcp_end *end)
{
    return tcp_end_is_v4(end) ? end->address[12] == 127
                              : memcmp(end->address, &in6addr_loopback, sizeof end->address) == 0;
}

static bool add_client(void *context, const struct tcp_row *row)
{
    struct look *look = context;
    if (has(&look->targets, &row->peer))
        add(&look->clients, &row->local);
    return true;
}

static bool add_of_proxy(void *context, const struct tcp_row *row)
{
    struct look *look = context;
    uint16_t port = row->local.port;
    if (!(look->listening[port / 8] >> port % 8 & 1) && tcp_sockets_has(&look->sockets, row->inode))
        add(&look->clients, &row->local);
    return true;
}

static bool note_listening(void *context, const struct tcp_row *row)
{
    struct look *look = context;
    look->listening[row->local.port / 8] |= (uint8_t)(1U << row->local.port % 8);
    return true;
}

static bool count_held(void *context, const struct tcp_row *row)
{
    struct look *look = context;
    if (!tcp_sockets_has(&look->sockets, row->inode))
        return true;
    look->connected++;
    bool elsewhere = look->apart && is_loopback(&row->local);
    look->held += !elsewhere && (has(&look->targets, &row->local) || has(&look->clients, &row->peer));
    return true;
}

// Counts the connections of the watched processes that do not listen.
static void count_all(struct owners *owners, struct look *look, const int64_t *pids, int count)
{
    owners->held = owners->connected = 0;
    for (int i = 0; i < count; i++) {
        if (owners->roles[i] != OWNER_NONE && owners->roles[i] != OWNER_HOLDS)
            continue;
        look->sockets = (struct tcp_sockets){0};
        if (tcp_sockets_of((pid_t)pids[i], &look->sockets) < 0)
            owners->known = false;
        look->apart = listeners_apart(pids[i]);
        look->held = look->connected = 0;
        if (look->sockets.count > 0)
            (void)!tcp_table_read((pid_t)pids[i], TCP_CONNECTED, count_held, look);
        if (look->held > 0)
            owners->roles[i] = OWNER_HOLDS;
        owners->held += look->held;
        owners->connected += look->connected;
        tcp_sockets_free(&look->sockets);
    }
}

// Adds the ends of processes that listen at a target and are not watched. The workers of the generator do not, and have many
// descriptors.
static void add_proxies(struct owners *owners, struct look *look, const struct plan *plan,
                        const int64_t *pids, int count)
{
    static struct listeners found; // of the parent's one thread
    struct family family;
    listeners_find(&found, plan, pids, count);
    (void)!tcp_table_read(0, TCP_LISTENING, note_listening, look);
    family_read(&family, pids, count);
    for (int i = 0; found.count > 0 && i < family.count; i++) {
        const struct relative *one = &family.list[i];
        if (one->kin == KIN_WATCHED || one->pid == getpid() || one->parent == getpid())
            continue;
        look->sockets = (struct tcp_sockets){0};
        if (tcp_sockets_of(one->pid, &look->sockets) == 0 && listeners_mark(&found, &look->sockets) > 0) {
            owners->holder = one->pid;
            (void)!tcp_table_read(0, TCP_CONNECTED, add_of_proxy, look);
        }
        tcp_sockets_free(&look->sockets);
    }
    free(family.list);
    sort(&look->clients);
}

void holders_look(struct owners *owners, const struct plan *plan, const int64_t *pids, int count,
                  int64_t open)
{
    struct look look = {0};
    int unsure = 0;
    for (int i = 0; i < count; i++)
        unsure += owners->roles[i] == OWNER_NONE || owners->roles[i] == OWNER_HOLDS;
    if (unsure == 0 || owners->looks >= HOLDERS_LOOKS)
        return;
    owners->looks++;
    owners->of = open;
    for (int i = 0; i < plan->target_count; i++) {
        struct tcp_end end = listeners_end(&plan->targets[i]);
        add(&look.targets, &end);
    }
    sort(&look.targets);
    (void)!tcp_table_read(0, TCP_CONNECTED, add_client, &look);
    sort(&look.clients);
    count_all(owners, &look, pids, count);
    if (owners->held == 0 && owners->unowned > 0) {
        add_proxies(owners, &look, plan, pids, count);
        count_all(owners, &look, pids, count);
    }
    free(look.targets.list);
    free(look.clients.list);
}
