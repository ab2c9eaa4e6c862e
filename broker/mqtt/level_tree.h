// SPDX-License-Identifier: Apache-2.0
// A tree of topic levels: "a/b/c" is three nodes below the root, and the last one carries a value. Two trees
// exist. The tree of subscriptions holds filters, and a name is matched against them. The tree of retained
// messages holds names, and a filter is matched against them.
//
// Invariants: every node but the root has a value or a child (call level_tree_prune after clearing a value);
// the children of a node have different names.
//
// Memory and time: a node is 43 bytes and the name of its level. Up to 8 children are a list; more are a hash
// table. The table is resized a few buckets at each change, so no single change takes long. Nothing recurses,
// because a topic may have 65 536 levels.
//
// Threads: it has no lock; the owner's lock guards it. Finding and matching change nothing.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_TREE_H
#define POOLMARK_BROKER_MQTT_LEVEL_TREE_H

#include "broker/mqtt/account.h"
#include "wire/mqtt.h"

struct level_tree;
struct level_node;

// 0 or -ENOMEM. Nodes are counted in `account` (NULL: not counted), each with its share of a hash table.
int level_tree_open(struct level_tree **tree, struct account *account, enum account_kind kind)
    __attribute__((warn_unused_result));

// Frees the tree. Calls `drop` (may be NULL) for each value in it.
void level_tree_close(struct level_tree *tree, void (*drop)(void *value));

// level_tree_find returns the node of `path`, or NULL. level_tree_make makes a missing node, with value NULL;
// it returns NULL without memory, with nothing changed. The caller must set a value or prune the node before
// it releases the lock.
struct level_node *level_tree_find(const struct level_tree *tree, struct mqtt_text path);
struct level_node *level_tree_make(struct level_tree *tree, struct mqtt_text path)
    __attribute__((warn_unused_result));

// Frees the node if it has neither value nor child, then its ancestors by the same rule.
void level_tree_prune(struct level_tree *tree, struct level_node *node);

// The address of the node's value, for reading and writing. NULL means no value.
void **level_node_value(struct level_node *node);

// Call `visit` for each node with a value that matches (section 4.7). The first function takes nodes as
// filters and matches them against `name`. The second takes nodes as names and matches them against `filter`.
// A filter that begins with a wildcard does not match names that begin with $ [MQTT-4.7.2-1].
// The first function returns the number of nodes that it looked at; -ENOMEM: it ended early. level_filters.h has it in
// portions.
typedef void level_visit(void *context, struct level_node *node);
int64_t level_tree_match_filters(const struct level_tree *tree, struct mqtt_text name, level_visit *visit,
                                 void *context);
void level_tree_match_names(const struct level_tree *tree, struct mqtt_text filter, level_visit *visit,
                            void *context);

// The place where a search goes on. The children of a node have an order that does not depend on what else is there. So
// while the tree changes, a node that is there from the first call to the last is found exactly once.
struct level_cursor {
    struct account *account; // counts `path`; NULL: not counted
    enum account_kind kind;
    char *path; // of the node looked at last; NULL: none yet
    size_t bytes, capacity;
    bool is_done; // there are no more
    bool is_lost; // there was no memory to keep the place, so the search ended early; then is_done too
};

// level_tree_match_names node by node: returns the next one from the cursor on. NULL: there is none among the next `most`
// nodes. Adds the number of nodes that it looked at to `*looked`.
struct level_node *level_tree_next_name(const struct level_tree *tree, struct mqtt_text filter,
                                        struct level_cursor *cursor, int64_t most, int64_t *looked);
void level_cursor_free(struct level_cursor *cursor);

// Calls `visit` for every node with a value.
void level_tree_each(const struct level_tree *tree, level_visit *visit, void *context);

int64_t level_tree_count(const struct level_tree *tree); // nodes, without the root
int64_t
level_tree_bytes(const struct level_tree *tree); // of the heap: nodes and their tables, without values
bool level_tree_is_valid(const struct level_tree *tree); // checks the invariants; walks the whole tree

#endif
