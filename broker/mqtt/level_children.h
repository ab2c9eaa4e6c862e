// SPDX-License-Identifier: Apache-2.0
// The children of one node of a level tree: a list while they are few, a hash table when they are many. Part
// of level_tree; no one else includes it.
//
// The table grows and shrinks by moving: beside the new array of buckets the old one stays, and every
// insertion and removal moves the next few of its buckets over. A child's hash tells which of the two holds
// it: the old one if its bucket there has yet to be moved. So no change costs more than LEVEL_MOVES buckets,
// and looking up costs one.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_CHILDREN_H
#define POOLMARK_BROKER_MQTT_LEVEL_CHILDREN_H

#include "wire/mqtt.h"

enum {
    LEVEL_LIST_MAX = 8, // children in a list
    LEVEL_MOVES = 8,    // old buckets moved by one change: faster than the table can fill up again
};

struct level_table;

struct level_node {
    struct level_node *parent; // NULL: the root
    struct level_node *next;   // in its list or bucket
    union {
        struct level_node *list;
        struct level_table *table;
    } children;
    void *value;
    uint32_t hash; // of the name
    uint32_t child_count;
    uint16_t name_bytes;
    bool has_table;
    char name[]; // not terminated
};

struct level_node *level_child_find(const struct level_node *parent, const char *name, size_t bytes,
                                    uint32_t hash);

// Adds `child`, whose parent and hash are set, and whose name is not there yet. A table that cannot be had
// leaves the list, or the smaller table, in use: slower, not wrong.
void level_child_add(struct level_node *parent, struct level_node *child);
void level_child_remove(struct level_node *parent, struct level_node *child);

// All of them, in no particular order, while none is added or removed; NULL after the last.
struct level_node *level_child_first(const struct level_node *parent);
struct level_node *level_child_next(const struct level_node *parent, const struct level_node *child);

void level_children_free(struct level_node *node); // the table, if there is one; not the children

#endif
