// SPDX-License-Identifier: Apache-2.0
// What level_tree.c and its searches (level_names.c, level_filters.c) share: the tree, and the levels of a path. For these alone.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_INSIDE_H
#define POOLMARK_BROKER_MQTT_LEVEL_INSIDE_H

#include "broker/mqtt/level_children.h"
#include "broker/mqtt/level_reader.h"
#include "broker/mqtt/level_tree.h"
#include "broker/mqtt/name_hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct level_tree {
    struct account *account;
    enum account_kind kind;
    struct level_node *root; // no name, never a value
    struct name_key key;     // of the hashes, because clients choose the names
    uint32_t plus_hash, hash_hash;
    int64_t count;
    int64_t bytes;                  // of nodes and tables, as the heap rounds them
    int64_t plus_count, hash_count; // nodes named + and #; with none, a match does not look for them
};

// A path is read level by level. `at` is the start of the next level; after the last level it is one past the
// end of the text ("a/" has two levels, the second one empty). The level read last ends one before `at`.
struct level {
    const char *name;
    size_t bytes;
};

static inline bool level_has_more(struct mqtt_text path, size_t at)
{
    return at <= path.bytes;
}

static inline struct level level_at(struct mqtt_text path, size_t at, size_t *next)
{
    const char *slash = memchr(path.data + at, '/', path.bytes - at);
    size_t end = slash ? (size_t)(slash - path.data) : path.bytes;
    *next = end + 1;
    return (struct level){path.data + at, end - at};
}

static inline bool level_is(struct level level, char wildcard)
{
    return level.bytes == 1 && level.name[0] == wildcard;
}

static inline uint32_t level_hash(const struct level_tree *tree, struct level level)
{
    return name_hash(&tree->key, level.name, level.bytes);
}

#endif
