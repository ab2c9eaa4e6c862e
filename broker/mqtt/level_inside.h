// SPDX-License-Identifier: Apache-2.0
// What level_tree.c and its search by names (level_names.c) share: the tree, and the levels of a path. For these two alone.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_INSIDE_H
#define POOLMARK_BROKER_MQTT_LEVEL_INSIDE_H

#include "broker/mqtt/level_children.h"
#include "broker/mqtt/level_tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct level_tree {
    struct account *account;
    enum account_kind kind;
    struct level_node *root; // no name, never a value
    uint64_t seed;           // of the hashes, because clients choose the names
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

// The start of the level that ends before `at`.
static inline size_t level_before(struct mqtt_text path, size_t at)
{
    size_t start = at - 1;
    while (start > 0 && path.data[start - 1] != '/')
        start--;
    return start;
}

static inline bool level_is(struct level level, char wildcard)
{
    return level.bytes == 1 && level.name[0] == wildcard;
}

// Multiplies and folds eight bytes at a time. Because of the seed, clients cannot choose names that collide
// in one bucket.
static inline uint32_t level_hash(uint64_t seed, struct level level)
{
    uint64_t hash = seed ^ level.bytes;
    for (size_t i = 0; i < level.bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, level.name + i, level.bytes - i < 8 ? level.bytes - i : 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    hash = (hash ^ seed) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(hash >> 32);
}

#endif
