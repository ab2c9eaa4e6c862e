// SPDX-License-Identifier: Apache-2.0
// The levels of a name or filter that is searched for in a tree, each with its hash. A search comes by a level as often as it
// tries a node for it: very often, if wildcards are above it. So each is read and hashed once, however long it is.
//
// For level_tree and its searches alone. On the stack of one search, from begin to end.
#ifndef POOLMARK_BROKER_MQTT_LEVEL_READER_H
#define POOLMARK_BROKER_MQTT_LEVEL_READER_H

#include "wire/mqtt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct level_tree;

enum { LEVEL_KNOWN_FEW = 32 }; // more take memory, which the tree's account has

struct level_known {
    uint32_t hash;
    uint16_t start, bytes; // of the text
};

struct level_reader {
    const struct level_tree *tree;
    struct mqtt_text text;
    size_t read; // where the first level begins that is not known
    size_t count, capacity;
    struct level_known *known, few[LEVEL_KNOWN_FEW];
    bool is_kept; // false: no level is asked for twice
    bool no_memory;
};

void level_reader_begin(struct level_reader *reader, const struct level_tree *tree, struct mqtt_text text,
                        bool is_kept);
void level_reader_end(struct level_reader *reader);

// The level behind the first `depth` ones; they must have been read before. false: there are no more, or there is no memory.
bool level_reader_at(struct level_reader *reader, size_t depth, struct level_known *level);

// Are there more than `depth` levels?
bool level_reader_has(const struct level_reader *reader, size_t depth);

static inline bool level_reader_is(const struct level_reader *reader, const struct level_known *level,
                                   char wildcard)
{
    return level->bytes == 1 && reader->text.data[level->start] == wildcard;
}

#endif
