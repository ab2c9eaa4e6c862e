// SPDX-License-Identifier: Apache-2.0
// A tree of topic levels: "a/b/c" is three nodes below the root, and the last one carries a value.
// Subscriptions and retained messages both live in one: in the first the nodes spell filters and a name is
// matched against them, in the second they spell names and a filter is.
//
// Invariants: every node but the root has a value or a child (level_tree_prune sees to it when a value goes);
// the children of a node have different names.
//
// Memory and time: a node is 43 bytes and the name of its level. Up to 8 children are a list; more are a hash
// table that moves to a larger (smaller) one a few buckets at each change, so that no single change takes
// long however many children there are. Nothing recurses: a topic may have 65 536 levels.
//
// Threads: none of its own; the owner's lock guards it. Finding and matching change nothing.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_TREE_H
#define POOLMARK_BROKER_MQTT_LEVEL_TREE_H

#include "broker/mqtt/account.h"
#include "wire/mqtt.h"

struct level_tree;
struct level_node;

// 0 or -ENOMEM. Nodes are counted in `account` (NULL: none is kept), each with its share of a hash table.
int level_tree_open(struct level_tree **tree, struct account *account, enum account_kind kind)
    __attribute__((warn_unused_result));

// Calls `drop` (may be NULL) for each value that is still there.
void level_tree_close(struct level_tree *tree, void (*drop)(void *value));

// The node that spells `path`, or NULL. With make: made when it is not there, its value NULL; NULL when there
// is no memory, with nothing changed. A node without value and children must be pruned before the lock is let
// go.
struct level_node *level_tree_find(const struct level_tree *tree, struct mqtt_text path);
struct level_node *level_tree_make(struct level_tree *tree, struct mqtt_text path)
    __attribute__((warn_unused_result));

// Frees the node if it has neither value nor child, and then those above it likewise.
void level_tree_prune(struct level_tree *tree, struct level_node *node);

// The node's value; it may be changed freely. NULL is no value.
void **level_node_value(struct level_node *node);

// Calls `visit` for each node with a value that, read as a filter, matches `name`; or that, read as a name,
// `filter` matches (section 4.7). A filter that begins with a wildcard does not match names that begin with $
// [MQTT-4.7.2-1].
typedef void level_visit(void *context, struct level_node *node);
void level_tree_match_filters(const struct level_tree *tree, struct mqtt_text name, level_visit *visit,
                              void *context);
void level_tree_match_names(const struct level_tree *tree, struct mqtt_text filter, level_visit *visit,
                            void *context);

void level_tree_each(const struct level_tree *tree, level_visit *visit,
                     void *context); // every node with a value

int64_t level_tree_count(const struct level_tree *tree); // nodes, without the root
bool level_tree_is_valid(const struct level_tree *tree); // invariants; walks all of it

#endif
