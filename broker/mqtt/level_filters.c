// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/level_filters.h"

#include "broker/mqtt/level_inside.h"

// Depth first. The node looked at last tells which branches are left, so going back up needs no stack.

static bool is_named(const struct level_node *node, char wildcard)
{
    return node->name_bytes == 1 && node->name[0] == wildcard;
}

// May wildcards stand for the level below the node?
static bool is_wild(const struct level_search *search)
{
    return search->node->parent || search->name.text.bytes == 0 || search->name.text.data[0] != '$';
}

static struct level_node *child_of(const struct level_search *search, const char *name, size_t bytes,
                                   uint32_t hash)
{
    return level_child_find(search->node, name, bytes, hash);
}

static struct level_node *hash_child(const struct level_search *search)
{
    if (search->name.tree->hash_count == 0 || !is_wild(search))
        return NULL;
    return child_of(search, "#", 1, search->name.tree->hash_hash);
}

static struct level_node *plus_child(const struct level_search *search)
{
    if (search->name.tree->plus_count == 0 || !is_wild(search))
        return NULL;
    return child_of(search, "+", 1, search->name.tree->plus_hash);
}

static struct level_node *named_child(const struct level_search *search, const struct level_known *level)
{
    return child_of(search, search->name.text.data + level->start, level->bytes, level->hash);
}

static void go_down(struct level_search *search, struct level_node *child, bool is_hash)
{
    search->node = child;
    search->depth += is_hash ? 0 : 1; // "#" stands for no level: "a/#" matches "a" as well
    search->done = LEVEL_DONE_ITSELF;
    search->looked++;
}

static void go_up(struct level_search *search)
{
    bool is_hash = is_named(search->node, '#');
    search->done = is_hash                       ? LEVEL_DONE_HASH
                   : is_named(search->node, '+') ? LEVEL_DONE_ALL
                                                 : LEVEL_DONE_NAMED;
    search->depth -= is_hash ? 0 : 1;
    search->node = search->node->parent;
}

// A child of the node that is not done yet. NULL: there is none.
static struct level_node *next_child(struct level_search *search)
{
    struct level_known level;
    struct level_node *child = search->done < LEVEL_DONE_HASH ? hash_child(search) : NULL;
    if (child || search->done == LEVEL_DONE_ALL || is_named(search->node, '#') ||
        !level_reader_at(&search->name, search->depth, &level))
        return child;
    if (search->done < LEVEL_DONE_NAMED)
        child = named_child(search, &level);
    return child ? child : plus_child(search);
}

// To the next node. false: there is none.
static bool go_on(struct level_search *search)
{
    struct level_node *child;
    while (!(child = next_child(search))) {
        // Without any + the only branches are those of #, which come first.
        if (search->name.no_memory || !search->node->parent ||
            (search->name.tree->plus_count == 0 && !is_named(search->node, '#')))
            return false;
        go_up(search);
    }
    go_down(search, child, is_named(child, '#'));
    return true;
}

static bool is_match(const struct level_search *search)
{
    return search->node->value &&
           (!level_reader_has(&search->name, search->depth) || is_named(search->node, '#'));
}

void level_search_begin(struct level_search *search, const struct level_tree *tree, struct mqtt_text name)
{
    // Without any + in the tree no level is come by twice.
    level_reader_begin(&search->name, tree, name, tree->plus_count > 0);
    search->node = tree->root;
    search->depth = 0;
    search->done = LEVEL_DONE_ITSELF;
    search->looked = 0;
    search->is_over = false;
}

void level_search_end(struct level_search *search)
{
    level_reader_end(&search->name);
}

struct level_node *level_search_next(struct level_search *search, int64_t most)
{
    for (; most > 0 && !search->is_over; most--) {
        if (!go_on(search))
            search->is_over = true;
        else if (is_match(search))
            return search->node;
    }
    return NULL;
}

enum { STEPS_PER_BYTE = 4 };

size_t level_trail_bytes(struct mqtt_text name)
{
    size_t levels = 1;
    for (size_t i = 0; i < name.bytes; i++)
        levels += name.data[i] == '/';
    return sizeof(struct level_trail) + (levels + 1) / STEPS_PER_BYTE + 1; // one more step: #
}

// A step is what would be done of the parent if the search went up from there.
static void set_step(struct level_trail *trail, size_t at, enum level_done step)
{
    uint8_t *byte = &trail->steps[at / STEPS_PER_BYTE];
    unsigned shift = 2 * (unsigned)(at % STEPS_PER_BYTE);
    *byte = (uint8_t)((*byte & ~(3u << shift)) | (unsigned)step << shift);
}

static enum level_done step_at(const struct level_trail *trail, size_t at)
{
    return (enum level_done)(trail->steps[at / STEPS_PER_BYTE] >> 2 * (at % STEPS_PER_BYTE) & 3);
}

void level_search_keep(const struct level_search *search, struct level_trail *trail)
{
    struct level_search up = *search;
    trail->count = up.depth + (up.node->parent && is_named(up.node, '#') ? 1 : 0);
    for (size_t at = trail->count; at > 0; at--) {
        go_up(&up);
        set_step(trail, at - 1, up.done);
    }
}

struct level_node *level_search_resume(struct level_search *search, const struct level_tree *tree,
                                       struct mqtt_text name, const struct level_trail *trail)
{
    level_search_begin(search, tree, name);
    for (size_t at = 0; at < trail->count; at++) {
        struct level_known level;
        enum level_done step = step_at(trail, at);
        struct level_node *child = NULL;
        if (step == LEVEL_DONE_HASH)
            child = hash_child(search);
        else if (level_reader_at(&search->name, search->depth, &level))
            child = step == LEVEL_DONE_NAMED ? named_child(search, &level) : plus_child(search);
        if (!child) { // nor what was below it
            search->done = step;
            return NULL;
        }
        go_down(search, child, step == LEVEL_DONE_HASH);
    }
    return search->node;
}
