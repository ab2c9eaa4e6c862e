// SPDX-License-Identifier: Apache-2.0
#include "loadgen/owners.h"

#include "base/procmem.h"
#include "loadgen/family.h"
#include "loadgen/listeners.h"

#include <stdio.h>
#include <stdlib.h>

// Marks the listeners that the process has. Their number; -1 when its descriptors cannot be listed.
static int mark_owned(struct listeners *found, int64_t pid)
{
    struct tcp_sockets sockets = {0};
    int owned = tcp_sockets_of((pid_t)pid, &sockets) < 0 ? -1 : listeners_mark(found, &sockets);
    tcp_sockets_free(&sockets);
    return owned;
}

enum { PORTS = 1 << 16 };

struct others {
    struct owners *owners;
    const struct tcp_sockets *sockets; // of a watched process
    uint8_t listening[PORTS / 8];      // a bit for each of its ports
    size_t listeners;
};

static bool add_port(void *context, const struct tcp_row *row)
{
    struct others *others = context;
    struct owners *owners = others->owners;
    uint16_t port = row->local.port;
    if (!tcp_sockets_has(others->sockets, row->inode))
        return true;
    others->listeners++;
    others->listening[port / 8] |= (uint8_t)(1U << port % 8);
    for (int i = 0; i < owners->port_count; i++)
        if (owners->ports[i] == port)
            return true;
    if (owners->port_count < OWNERS_PORTS_MAX)
        owners->ports[owners->port_count++] = port;
    return true;
}

static bool add_outgoing(void *context, const struct tcp_row *row)
{
    struct others *others = context;
    uint16_t port = row->local.port;
    if (others->listening[port / 8] >> port % 8 & 1 || !tcp_sockets_has(others->sockets, row->inode))
        return true;
    return others->owners->outgoing.count < OWNERS_OUTGOING_MAX &&
           tcp_sockets_add(&others->owners->outgoing, row->inode);
}

// What a process that listens at a target takes from others, and what it asks of them, beside what clients of the run ask of it. To
// one behind a proxy the run's own clients may come at any port.
static void look_at_others(struct owners *owners, const struct tcp_sockets *sockets)
{
    struct others others = {.owners = owners, .sockets = sockets};
    (void)!tcp_table_read(0, TCP_LISTENING, add_port, &others);
    if (sockets->count > others.listeners)
        (void)!tcp_table_read(0, TCP_CONNECTED, add_outgoing, &others);
}

static void look_at_family(struct owners *owners, struct listeners *found, const int64_t *pids, int count)
{
    struct family family;
    struct listeners *owned = found;
    int kept = 0;
    for (int i = 0; i < found->count; i++)
        if (found->list[i].owned)
            owned->list[kept++] = found->list[i];
    owned->count = kept;
    family_read(&family, pids, count);
    owners->children = family_children(&family);
    for (int i = 0; kept > 0 && i < family.count; i++)
        if ((family.list[i].kin == KIN_CHILD || family.list[i].kin == KIN_SIBLING) &&
            mark_owned(owned, family.list[i].pid) > 0 && owners->sharing++ == 0)
            owners->first_sharing = family.list[i].pid;
    free(family.list);
}

void owners_look(struct owners *owners, const struct plan *plan, const int64_t *pids, int count)
{
    static struct listeners found; // of the parent's one thread that opens runs
    *owners = (struct owners){.known = true};
    if (count == 0)
        return;
    listeners_find(&found, plan, pids, count);
    for (int i = 0; i < count; i++) {
        struct tcp_sockets sockets = {0};
        bool listed = tcp_sockets_of((pid_t)pids[i], &sockets) == 0;
        owners->known = owners->known && listed;
        owners->roles[i] = !listed                                ? OWNER_UNSEEN
                           : listeners_mark(&found, &sockets) > 0 ? OWNER_LISTENS
                                                                  : OWNER_NONE;
        if (owners->roles[i] == OWNER_LISTENS && !listeners_apart(pids[i]))
            look_at_others(owners, &sockets);
        tcp_sockets_free(&sockets);
    }
    owners->listeners = found.count;
    for (int i = 0; i < found.count; i++)
        if (!found.list[i].owned && owners->unowned++ == 0)
            snprintf(owners->first, sizeof owners->first, "%s", found.list[i].target->uri);
    look_at_family(owners, &found, pids, count);
    children_read(&owners->before, pids, count);
}

void owners_close(struct owners *owners)
{
    tcp_sockets_free(&owners->outgoing);
}

int64_t owners_more_children(const struct owners *owners, const int64_t *pids, int count)
{
    struct family family;
    family_read(&family, pids, count);
    int64_t more = family.read ? family_children(&family) - owners->children : 0;
    free(family.list);
    return more;
}

bool owners_hold(const int64_t *pids, int count, int64_t connections)
{
    int64_t open = 0;
    for (int i = 0; i < count; i++) {
        int64_t more = procmem_descriptors((pid_t)pids[i]);
        if (more < 0)
            return true;
        open += more;
    }
    return open >= connections;
}
