// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/level_reader.h"

#include "broker/mqtt/level_inside.h"

#include <stdlib.h>

void level_reader_begin(struct level_reader *reader, const struct level_tree *tree, struct mqtt_text text,
                        bool is_kept)
{
    reader->tree = tree;
    reader->text = text;
    reader->read = reader->count = 0;
    reader->known = reader->few;
    reader->capacity = LEVEL_KNOWN_FEW;
    reader->is_kept = is_kept;
    reader->no_memory = false;
}

void level_reader_end(struct level_reader *reader)
{
    if (reader->known == reader->few)
        return;
    account_give(reader->tree->account, reader->tree->kind,
                 account_heap_bytes(reader->capacity * sizeof *reader->known));
    free(reader->known);
}

static bool grow(struct level_reader *reader)
{
    const struct level_tree *tree = reader->tree;
    size_t capacity = 4 * reader->capacity, bytes = capacity * sizeof *reader->known;
    struct level_known *known = NULL;
    if (account_take(tree->account, tree->kind, account_heap_bytes(bytes)) && !(known = malloc(bytes)))
        account_give(tree->account, tree->kind, account_heap_bytes(bytes));
    reader->no_memory = !known;
    if (!known)
        return false;
    memcpy(known, reader->known, reader->count * sizeof *known);
    level_reader_end(reader);
    reader->known = known;
    reader->capacity = capacity;
    return true;
}

bool level_reader_at(struct level_reader *reader, size_t depth, struct level_known *level)
{
    if (depth < reader->count) {
        *level = reader->known[depth];
        return true;
    }
    if (!level_has_more(reader->text, reader->read) ||
        (reader->is_kept && reader->count == reader->capacity && !grow(reader)))
        return false;
    size_t start = reader->read;
    struct level found = level_at(reader->text, start, &reader->read);
    *level = (struct level_known){level_hash(reader->tree, found), (uint16_t)start, (uint16_t)found.bytes};
    if (reader->is_kept)
        reader->known[reader->count++] = *level;
    return true;
}

bool level_reader_has(const struct level_reader *reader, size_t depth)
{
    return depth < reader->count || level_has_more(reader->text, reader->read);
}
