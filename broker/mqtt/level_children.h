// SPDX-License-Identifier: Apache-2.0
// The children of one node of a level tree: a list while they are few, a hash table when they are many. Part
// of level_tree; no other module includes it.
//
// The table is resized incrementally. The old array of buckets stays beside the new one, and every insertion
// and removal moves the next few old buckets. A child is in the old array until its bucket there is moved. So
// a change moves at most LEVEL_MOVES buckets, and a lookup visits one bucket.
//
// Both arrays together have at most four buckets for each child (LEVEL_SHARE_BYTES, which the account has), whatever
// comes and goes. So a walk over few children does not cross the empty table of many that were there before.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_CHILDREN_H
#define POOLMARK_BROKER_MQTT_LEVEL_CHILDREN_H

#include "wire/mqtt.h"

enum {
    LEVEL_LIST_MAX = 8, // children in a list; a table of fewer than LEVEL_TABLE_MIN becomes one again
    LEVEL_TABLE_MIN = 6,
    LEVEL_BUCKETS_MIN = 16,
    LEVEL_MOVES = 16,       // old buckets moved by one change
    LEVEL_SHARE_BYTES = 32, // of a child in the table of its parent
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

// Adds `child`, whose parent and hash are set, and whose name no sibling has. Without memory for a table, the
// list or the smaller table stays in use; lookups are then slower.
void level_child_add(struct level_node *parent, struct level_node *child);
void level_child_remove(struct level_node *parent, struct level_node *child);

// Iterate over all children, in no particular order; NULL after the last. Do not add or remove meanwhile.
struct level_node *level_child_first(const struct level_node *parent);
struct level_node *level_child_next(const struct level_node *parent, const struct level_node *child);

size_t level_children_bytes(const struct level_node *node); // heap bytes of its table; 0 without one
void level_children_free(struct level_node *node);          // the table, if there is one; not the children

// The children have an order by the bits of their hash, the lowest first. It depends on nothing else, least of all on the
// size of the table. Returns the first child behind the place, whether the table has one there or not; NULL for the place:
// the first of all.
struct level_place {
    uint32_t hash;
    const char *name;
    size_t bytes;
};
struct level_node *level_child_after(const struct level_node *parent, const struct level_place *place);

#endif
