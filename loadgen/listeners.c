// SPDX-License-Identifier: Apache-2.0
#include "loadgen/listeners.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    READS = 3
}; // of the table, which may lack a row (tcp_table.h): one that is not found is looked for again

enum rank { RANK_EXACT, RANK_ALL_V4, RANK_ALL_V6, RANKS }; // as the kernel chooses

struct search {
    struct listeners *found;
    const struct plan_target *target;
    struct tcp_end end;
    enum rank rank; // that is wanted
};

struct tcp_end listeners_end(const struct plan_target *target)
{
    struct tcp_end end = tcp_end_of(&target->address);
    if (!tcp_end_is_any(&end))
        return end;
    if (tcp_end_is_v4(&end))
        end.address[12] = 127;
    end.address[15] = 1;
    return end;
}

bool listeners_apart(int64_t pid)
{
    char path[64];
    struct stat own, other;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/ns/net", pid);
    return stat("/proc/self/ns/net", &own) == 0 && stat(path, &other) == 0 && own.st_ino != other.st_ino;
}

static bool visit(void *context, const struct tcp_row *row)
{
    struct search *search = context;
    bool v4 = tcp_end_is_v4(&search->end);
    enum rank rank = RANKS;
    if (tcp_end_equal(&row->local, &search->end))
        rank = RANK_EXACT;
    else if (row->local.port == search->end.port && tcp_end_is_any(&row->local))
        rank = !row->v4 ? RANK_ALL_V6 : v4 ? RANK_ALL_V4 : RANKS;
    if (rank == search->rank && search->found->count < LISTENERS_MAX)
        search->found->list[search->found->count++] =
            (struct listener){.inode = row->inode, .target = search->target};
    return true;
}

// The process in whose network namespace the address is; 0: ours. -1: none is known.
static int64_t place_of(const struct tcp_end *end, const int64_t *pids, int count)
{
    if (tcp_end_is_local(end, 0))
        return 0;
    for (int i = 0; i < count; i++)
        if (listeners_apart(pids[i]) && tcp_end_is_local(end, (pid_t)pids[i]))
            return pids[i];
    return -1;
}

void listeners_find(struct listeners *found, const struct plan *plan, const int64_t *pids, int count)
{
    found->count = 0;
    for (int i = 0; i < plan->target_count; i++) {
        struct search search = {
            .found = found, .target = &plan->targets[i], .end = listeners_end(&plan->targets[i])};
        int before = found->count;
        int64_t place = place_of(&search.end, pids, count);
        for (int look = 0; place >= 0 && look < READS * RANKS && found->count == before; look++) {
            search.rank = (enum rank)(look % RANKS);
            if (tcp_table_read((pid_t)place, TCP_LISTENING, visit, &search) < 0)
                break;
        }
    }
}

int listeners_mark(struct listeners *found, const struct tcp_sockets *sockets)
{
    int marked = 0;
    for (int i = 0; i < found->count; i++)
        if (tcp_sockets_has(sockets, found->list[i].inode)) {
            found->list[i].owned = true;
            marked++;
        }
    return marked;
}
