// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/level_filters.h"

#include "broker/mqtt/level_inside.h"

#include <stdlib.h>

// Depth first. The node looked at last tells which branches are left, so going back up needs no stack.

static bool is_named(const struct level_node *node, char wildcard)
{
    return node->name_bytes == 1 && node->name[0] == wildcard;
}

// May wildcards stand for the level below the node?
static bool is_wild(const struct level_search *search)
{
    return search->node->parent || search->name.bytes == 0 || search->name.data[0] != '$';
}

static struct level_node *child_of(const struct level_search *search, const char *name, size_t bytes,
                                   uint32_t hash)
{
    return level_child_find(search->node, name, bytes, hash);
}

static struct level_node *hash_child(const struct level_search *search)
{
    if (search->tree->hash_count == 0 || !is_wild(search))
        return NULL;
    return child_of(search, "#", 1, search->tree->hash_hash);
}

static struct level_node *plus_child(const struct level_search *search)
{
    if (search->tree->plus_count == 0 || !is_wild(search))
        return NULL;
    return child_of(search, "+", 1, search->tree->plus_hash);
}

static void release_known(struct level_search *search)
{
    if (search->known == search->few)
        return;
    account_give(search->tree->account, search->tree->kind,
                 account_heap_bytes(search->known_capacity * sizeof *search->known));
    free(search->known);
}

static bool grow_known(struct level_search *search)
{
    const struct level_tree *tree = search->tree;
    size_t capacity = 4 * search->known_capacity, bytes = capacity * sizeof *search->known;
    struct level_known *known = NULL;
    if (account_take(tree->account, tree->kind, account_heap_bytes(bytes)) && !(known = malloc(bytes)))
        account_give(tree->account, tree->kind, account_heap_bytes(bytes));
    search->no_memory = !known;
    if (!known)
        return false;
    memcpy(known, search->known, search->known_count * sizeof *known);
    release_known(search);
    search->known = known;
    search->known_capacity = capacity;
    return true;
}

// The level of the name below the node. false: it has no more, or there is no memory. Without any + in the tree no level is
// asked for twice.
static bool level_below(struct level_search *search, struct level_known *level)
{
    bool is_kept = search->tree->plus_count > 0;
    if (search->depth < search->known_count) {
        *level = search->known[search->depth];
        return true;
    }
    if (!level_has_more(search->name, search->read) ||
        (is_kept && search->known_count == search->known_capacity && !grow_known(search)))
        return false;
    size_t start = search->read;
    struct level found = level_at(search->name, start, &search->read);
    *level = (struct level_known){level_hash(search->tree, found), (uint16_t)start, (uint16_t)found.bytes};
    if (is_kept)
        search->known[search->known_count++] = *level;
    return true;
}

static struct level_node *named_child(const struct level_search *search, const struct level_known *level)
{
    return child_of(search, search->name.data + level->start, level->bytes, level->hash);
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
    search->done = is_hash ? LEVEL_DONE_HASH : is_named(search->node, '+') ? LEVEL_DONE_ALL : LEVEL_DONE_NAMED;
    search->depth -= is_hash ? 0 : 1;
    search->node = search->node->parent;
}

// A child of the node that is not done yet. NULL: there is none.
static struct level_node *next_child(struct level_search *search)
{
    struct level_known level;
    struct level_node *child = search->done < LEVEL_DONE_HASH ? hash_child(search) : NULL;
    if (child || search->done == LEVEL_DONE_ALL || is_named(search->node, '#') || !level_below(search, &level))
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
        if (search->no_memory || !search->node->parent ||
            (search->tree->plus_count == 0 && !is_named(search->node, '#')))
            return false;
        go_up(search);
    }
    go_down(search, child, is_named(child, '#'));
    return true;
}

static bool is_match(const struct level_search *search)
{
    bool has_more = search->depth < search->known_count || level_has_more(search->name, search->read);
    return search->node->value && (!has_more || is_named(search->node, '#'));
}

void level_search_begin(struct level_search *search, const struct level_tree *tree, struct mqtt_text name)
{
    search->tree = tree;
    search->name = name;
    search->node = tree->root;
    search->depth = search->read = search->known_count = 0;
    search->known = search->few;
    search->known_capacity = LEVEL_KNOWN_FEW;
    search->done = LEVEL_DONE_ITSELF;
    search->looked = 0;
    search->is_over = search->no_memory = false;
}

void level_search_end(struct level_search *search)
{
    release_known(search);
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
        else if (level_below(search, &level))
            child = step == LEVEL_DONE_NAMED ? named_child(search, &level) : plus_child(search);
        if (!child) { // nor what was below it
            search->done = step;
            return NULL;
        }
        go_down(search, child, step == LEVEL_DONE_HASH);
    }
    return search->node;
}
