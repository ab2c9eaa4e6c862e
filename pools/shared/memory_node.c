// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/memory_node.h"

#include "base/text_file.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#define ONLINE "/sys/devices/system/node/online"
enum { TEXT_SIZE = 256 };

// Global to the process, as the machine is. Relaxed: the count is the same whoever reads it, and tests pretend
// while no other thread looks.
static _Atomic int known_count; // 0: not read yet
static _Atomic(const struct memory_node_map *) pretended;

int memory_node_count_of(const char *list)
{
    long long highest = 0;
    for (const char *at = list; *at;) {
        char *end;
        long long node = strtoll(at, &end, 10);
        if (end == at || node < 0)
            break;
        highest = node > highest ? node : highest;
        at = *end == '-' || *end == ',' ? end + 1 : "";
    }
    return highest < MEMORY_NODES_MAX ? (int)highest + 1 : MEMORY_NODES_MAX;
}

int memory_node_count(void)
{
    const struct memory_node_map *map = atomic_load_explicit(&pretended, memory_order_relaxed);
    char text[TEXT_SIZE];
    if (map)
        return map->count;
    int count = atomic_load_explicit(&known_count, memory_order_relaxed);
    if (count == 0) {
        count = text_file_read(ONLINE, text, sizeof text) > 0 ? memory_node_count_of(text) : 1;
        atomic_store_explicit(&known_count, count, memory_order_relaxed);
    }
    return count;
}

int memory_node_at(int nodes)
{
    const struct memory_node_map *map = atomic_load_explicit(&pretended, memory_order_relaxed);
    unsigned cpu, node = 0;
    if (map)
        node = (unsigned)map->here();
    else if (getcpu(&cpu, &node) < 0)
        node = 0;
    return (int)(node % (unsigned)nodes);
}

void memory_node_pretend(const struct memory_node_map *map)
{
    atomic_store_explicit(&pretended, map, memory_order_relaxed);
}
