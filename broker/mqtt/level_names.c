// SPDX-License-Identifier: Apache-2.0
// The search of names that a filter matches (level_tree.h): at once, or node by node from a cursor.
#include "broker/mqtt/level_inside.h"

#include <stdlib.h>

static bool is_hidden(const struct level_node *node) // from wildcards in the first level
{
    return !node->parent->parent && node->name_bytes && node->name[0] == '$';
}

// A walk over the nodes whose path begins as the filter does, parents first.
struct walk {
    struct level_reader filter;
    const struct level_node *node;
    size_t depth;                 // levels of the filter that led to the node
    const struct level_node *top; // # matches it and all below; NULL: the node is not there
    int64_t looked;               // nodes gone through
};

static void arrive(struct walk *walk, const struct level_node *node)
{
    struct level_known level;
    walk->node = node;
    walk->looked++;
    if (!walk->top && level_reader_at(&walk->filter, walk->depth, &level) &&
        level_reader_is(&walk->filter, &level, '#'))
        walk->top = node;
}

static void go_down(struct walk *walk, const struct level_node *child)
{
    if (!walk->top)
        walk->depth++;
    arrive(walk, child);
}

static void go_up(struct walk *walk)
{
    if (walk->top == walk->node)
        walk->top = NULL;
    if (!walk->top)
        walk->depth--;
    walk->node = walk->node->parent;
}

static struct level_place place_of(const struct level_node *node)
{
    return (struct level_place){node->hash, node->name, node->name_bytes};
}

// The first child of the node that the filter allows, behind the place (NULL: of all).
static const struct level_node *allowed_child(struct walk *walk, const struct level_place *after)
{
    struct level_known level;
    if (!walk->top && !level_reader_at(&walk->filter, walk->depth, &level))
        return NULL;
    if (!walk->top && !level_reader_is(&walk->filter, &level, '+'))
        return after ? NULL
                     : level_child_find(walk->node, walk->filter.text.data + level.start, level.bytes,
                                        level.hash);
    const struct level_node *child = level_child_after(walk->node, after);
    while (child && is_hidden(child)) {
        struct level_place place = place_of(child);
        child = level_child_after(walk->node, &place);
    }
    return child;
}

// To the next node: below this one and behind the place, or else behind this one. false: there is none.
static bool go_on(struct walk *walk, const struct level_place *after)
{
    const struct level_node *down = allowed_child(walk, after);
    while (!down) {
        if (!walk->node->parent)
            return false;
        struct level_place place = place_of(walk->node);
        go_up(walk);
        down = allowed_child(walk, &place);
    }
    go_down(walk, down);
    return true;
}

// To the node behind the cursor's, which may no longer be there.
static bool go_to(struct walk *walk, struct mqtt_text path)
{
    for (size_t at = 0; level_has_more(path, at);) {
        struct level level = level_at(path, at, &at);
        struct level_place place = {level_hash(walk->filter.tree, level), level.name, level.bytes};
        const struct level_node *child = level_child_find(walk->node, level.name, level.bytes, place.hash);
        if (!child)
            return go_on(walk, &place);
        go_down(walk, child);
    }
    return go_on(walk, NULL);
}

static size_t path_bytes(const struct level_node *node)
{
    size_t bytes = node->name_bytes;
    for (node = node->parent; node->parent; node = node->parent)
        bytes += node->name_bytes + 1u;
    return bytes;
}

static bool need_path(struct level_cursor *cursor, size_t bytes)
{
    if (cursor->path && bytes <= cursor->capacity)
        return true;
    size_t capacity = account_heap_bytes(bytes);
    if (!account_take(cursor->account, cursor->kind, account_heap_bytes(capacity)))
        return false;
    char *path = malloc(capacity);
    if (!path) {
        account_give(cursor->account, cursor->kind, account_heap_bytes(capacity));
        return false;
    }
    level_cursor_free(cursor);
    cursor->path = path;
    cursor->capacity = capacity;
    return true;
}

// false: no memory.
static bool keep_place(struct level_cursor *cursor, const struct level_node *node)
{
    size_t bytes = path_bytes(node), end = bytes;
    if (!need_path(cursor, bytes))
        return false;
    cursor->bytes = bytes;
    for (; node->parent; node = node->parent) {
        end -= node->name_bytes;
        memcpy(cursor->path + end, node->name, node->name_bytes);
        if (end > 0)
            cursor->path[--end] = '/';
    }
    return true;
}

void level_cursor_free(struct level_cursor *cursor)
{
    if (cursor->path)
        account_give(cursor->account, cursor->kind, account_heap_bytes(cursor->capacity));
    free(cursor->path);
    cursor->path = NULL;
}

static void begin_walk(struct walk *walk, const struct level_tree *tree, struct mqtt_text filter)
{
    level_reader_begin(&walk->filter, tree, filter, true);
    walk->depth = 0;
    walk->top = NULL;
    walk->looked = 0;
    arrive(walk, tree->root);
}

static bool is_match(const struct walk *walk)
{
    return walk->node->value && (walk->top || !level_reader_has(&walk->filter, walk->depth));
}

struct level_node *level_tree_next_name(const struct level_tree *tree, struct mqtt_text filter,
                                        struct level_cursor *cursor, int64_t most, int64_t *looked)
{
    struct walk walk;
    struct mqtt_text path = {cursor->path, cursor->bytes};
    if (cursor->is_done)
        return NULL;
    begin_walk(&walk, tree, filter);
    bool is_there = cursor->path ? go_to(&walk, path) : go_on(&walk, NULL);
    int64_t count = 1;
    while (is_there && !is_match(&walk) && count < most) {
        is_there = go_on(&walk, NULL);
        count++;
    }
    *looked += walk.looked;
    cursor->is_lost = walk.filter.no_memory || (is_there && !keep_place(cursor, walk.node));
    cursor->is_done = !is_there || cursor->is_lost;
    level_reader_end(&walk.filter);
    return is_there && is_match(&walk) ? (struct level_node *)walk.node : NULL;
}

void level_tree_match_names(const struct level_tree *tree, struct mqtt_text filter, level_visit *visit,
                            void *context)
{
    struct walk walk;
    begin_walk(&walk, tree, filter);
    while (go_on(&walk, NULL))
        if (is_match(&walk))
            visit(context, (struct level_node *)walk.node);
    level_reader_end(&walk.filter);
}
