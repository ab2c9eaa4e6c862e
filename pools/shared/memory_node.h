// SPDX-License-Identifier: Apache-2.0
// The memory nodes of this machine (NUMA), and on which of them a thread runs. Memory is nearer to the processors
// of its own node; the kernel takes a page from the node of the thread that first writes it.
//
//     int nodes = memory_node_count();
//     struct list *own = &lists[memory_node_here(nodes)];
//
// Any thread may call. Nothing fails: a machine whose nodes cannot be read has one.
#ifndef POOLMARK_POOLS_SHARED_MEMORY_NODE_H
#define POOLMARK_POOLS_SHARED_MEMORY_NODE_H

enum { MEMORY_NODES_MAX = 8 }; // with more of them, some share a number

int memory_node_count(void); // 1 to MEMORY_NODES_MAX

// Of the processor that the thread runs on; 0 to nodes - 1. The thread may be moved at any time: a hint.
int memory_node_at(int nodes);

static inline int memory_node_here(int nodes)
{
    return nodes > 1 ? memory_node_at(nodes) : 0;
}

// Of a list of nodes as the kernel prints it ("0-1,3"): the highest and one more, at most MEMORY_NODES_MAX; 1 for a
// text that is none.
int memory_node_count_of(const char *list);

// For tests: a machine of so many nodes, on which a thread is where `here` says. NULL: the real machine again. Not
// while another thread makes pools or uses one that was made under the other map.
struct memory_node_map {
    int count;
    int (*here)(void); // 0 to count - 1
};
void memory_node_pretend(const struct memory_node_map *map);

#endif
