// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/level_tree.h"
#include "broker/mqtt/level_children.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

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

static bool has_more(struct mqtt_text path, size_t at)
{
    return at <= path.bytes;
}

static struct level level_at(struct mqtt_text path, size_t at, size_t *next)
{
    const char *slash = memchr(path.data + at, '/', path.bytes - at);
    size_t end = slash ? (size_t)(slash - path.data) : path.bytes;
    *next = end + 1;
    return (struct level){path.data + at, end - at};
}

// The start of the level that ends before `at`.
static size_t level_before(struct mqtt_text path, size_t at)
{
    size_t start = at - 1;
    while (start > 0 && path.data[start - 1] != '/')
        start--;
    return start;
}

static bool level_is(struct level level, char wildcard)
{
    return level.bytes == 1 && level.name[0] == wildcard;
}

// Multiplies and folds eight bytes at a time. Because of the seed, clients cannot choose names that collide
// in one bucket.
static uint32_t hash_of(uint64_t seed, struct level level)
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

int level_tree_open(struct level_tree **tree, struct account *account, enum account_kind kind)
{
    struct level_tree *made = calloc(1, sizeof *made);
    struct level_node *root = calloc(1, sizeof *root);
    if (!made || !root) {
        free(made);
        free(root);
        return -ENOMEM;
    }
    made->root = root;
    made->account = account;
    made->kind = kind;
    made->bytes = (int64_t)(account_heap_bytes(sizeof *made) + account_heap_bytes(sizeof *root));
    if (getrandom(&made->seed, sizeof made->seed, GRND_NONBLOCK) < 0)
        made->seed = (uintptr_t)made; // early at boot; the address is random enough
    made->plus_hash = hash_of(made->seed, (struct level){"+", 1});
    made->hash_hash = hash_of(made->seed, (struct level){"#", 1});
    *tree = made;
    return 0;
}

// A table has at most four buckets per child, half of them in the old array of a move.
enum { SHARE_OF_TABLE_BYTES = 4 * sizeof(void *) };

static size_t node_bytes(size_t name_bytes)
{
    // A short name lies in the padding at the end of the struct.
    size_t bytes = offsetof(struct level_node, name) + name_bytes;
    return bytes < sizeof(struct level_node) ? sizeof(struct level_node) : bytes;
}

static size_t node_cost(size_t name_bytes)
{
    return account_heap_bytes(node_bytes(name_bytes)) + SHARE_OF_TABLE_BYTES;
}

static void count_wildcards(struct level_tree *tree, struct level level, int by)
{
    tree->plus_count += level_is(level, '+') ? by : 0;
    tree->hash_count += level_is(level, '#') ? by : 0;
}

// The bytes of the parent's table change with its children.
static void add_child(struct level_tree *tree, struct level_node *parent, struct level_node *child)
{
    int64_t before = (int64_t)level_children_bytes(parent);
    level_child_add(parent, child);
    tree->bytes += (int64_t)level_children_bytes(parent) - before;
}

static void remove_child(struct level_tree *tree, struct level_node *parent, struct level_node *child)
{
    int64_t before = (int64_t)level_children_bytes(parent);
    level_child_remove(parent, child);
    tree->bytes += (int64_t)level_children_bytes(parent) - before;
}

static void node_free(struct level_tree *tree, struct level_node *node)
{
    account_give(tree->account, tree->kind, node_cost(node->name_bytes));
    tree->bytes -= (int64_t)(account_heap_bytes(node_bytes(node->name_bytes)) + level_children_bytes(node));
    level_children_free(node);
    count_wildcards(tree, (struct level){node->name, node->name_bytes}, -1);
    free(node);
    tree->count--;
}

static struct level_node *deepest_first(struct level_node *node)
{
    for (struct level_node *child = node; child; child = level_child_first(node))
        node = child;
    return node;
}

// Frees children before their parents. Walks each table only once, because it removes no child from it.
void level_tree_close(struct level_tree *tree, void (*drop)(void *value))
{
    if (!tree)
        return;
    for (struct level_node *node = deepest_first(tree->root); node != tree->root;) {
        struct level_node *parent = node->parent;
        struct level_node *next = level_child_next(parent, node);
        if (node->value && drop)
            drop(node->value);
        node_free(tree, node);
        node = next ? deepest_first(next) : parent;
    }
    level_children_free(tree->root);
    free(tree->root);
    free(tree);
}

struct level_node *level_tree_find(const struct level_tree *tree, struct mqtt_text path)
{
    const struct level_node *node = tree->root;
    for (size_t at = 0; node && has_more(path, at);) {
        struct level level = level_at(path, at, &at);
        node = level_child_find(node, level.name, level.bytes, hash_of(tree->seed, level));
    }
    return (struct level_node *)node;
}

static struct level_node *node_make(struct level_tree *tree, struct level_node *parent, struct level level,
                                    uint32_t hash)
{
    if (!account_take(tree->account, tree->kind, node_cost(level.bytes)))
        return NULL;
    struct level_node *node = malloc(node_bytes(level.bytes));
    if (!node) {
        account_give(tree->account, tree->kind, node_cost(level.bytes));
        return NULL;
    }
    *node = (struct level_node){.parent = parent, .hash = hash, .name_bytes = (uint16_t)level.bytes};
    memcpy(node->name, level.name, level.bytes);
    add_child(tree, parent, node);
    tree->bytes += (int64_t)account_heap_bytes(node_bytes(level.bytes));
    count_wildcards(tree, level, 1);
    tree->count++;
    return node;
}

struct level_node *level_tree_make(struct level_tree *tree, struct mqtt_text path)
{
    struct level_node *node = tree->root;
    for (size_t at = 0; has_more(path, at);) {
        struct level level = level_at(path, at, &at);
        uint32_t hash = hash_of(tree->seed, level);
        struct level_node *child = level_child_find(node, level.name, level.bytes, hash);
        if (!child && !(child = node_make(tree, node, level, hash))) {
            level_tree_prune(tree, node);
            return NULL;
        }
        node = child;
    }
    return node;
}

void level_tree_prune(struct level_tree *tree, struct level_node *node)
{
    while (node->parent && !node->value && node->child_count == 0) {
        struct level_node *parent = node->parent;
        remove_child(tree, parent, node);
        node_free(tree, node);
        node = parent;
    }
}

void **level_node_value(struct level_node *node)
{
    return &node->value;
}

// Visits matching nodes depth first: at each node first the child named like the level, then "+". The current
// node tells which branches are left, so going back up needs no stack.
int64_t level_tree_match_filters(const struct level_tree *tree, struct mqtt_text name, level_visit *visit,
                                 void *context)
{
    const struct level_node *node = tree->root;
    const bool dollar = name.bytes && name.data[0] == '$';
    const bool has_plus = tree->plus_count > 0, has_hash = tree->hash_count > 0;
    size_t at = 0;
    for (int64_t looked = 1;; looked++) {
        bool wild = node->parent || !dollar; // may wildcards stand for the next level?
        struct level_node *hash = wild && has_hash ? level_child_find(node, "#", 1, tree->hash_hash) : NULL;
        if (hash && hash->value)
            visit(context, hash); // "a/#" matches "a" as well
        const struct level_node *down = NULL;
        if (has_more(name, at)) {
            size_t next;
            struct level level = level_at(name, at, &next);
            down = level_child_find(node, level.name, level.bytes, hash_of(tree->seed, level));
            if (!down && wild && has_plus)
                down = level_child_find(node, "+", 1, tree->plus_hash);
            at = down ? next : at;
        } else if (node->value) {
            visit(context, (struct level_node *)node);
        }
        if (!down && !has_plus)
            return looked; // no branch is left
        while (!down) {    // back up to a node whose "+" was not tried
            const struct level_node *parent = node->parent;
            if (!parent)
                return looked;
            bool was_plus = node->name_bytes == 1 && node->name[0] == '+';
            if (!was_plus && (parent->parent || !dollar))
                down = level_child_find(parent, "+", 1, tree->plus_hash);
            at = down ? at : level_before(name, at);
            node = parent;
        }
        node = down;
    }
}

// The next node after `node` in the subtree under `top` (parents first), or NULL.
static struct level_node *next_below(const struct level_node *top, const struct level_node *node)
{
    struct level_node *next = level_child_first(node);
    while (!next && node != top) {
        next = level_child_next(node->parent, node);
        node = node->parent;
    }
    return next;
}

static bool is_hidden(const struct level_node *node) // from wildcards in the first level
{
    return !node->parent->parent && node->name_bytes && node->name[0] == '$';
}

// A walk over the nodes whose path begins as the filter does, parents first.
struct walk {
    const struct level_tree *tree;
    struct mqtt_text filter;
    const struct level_node *node;
    size_t at;                    // of the filter: behind the levels that led to the node
    const struct level_node *top; // # matches it and all below; NULL: the node is not there
    int64_t looked;               // nodes gone through
};

static void arrive(struct walk *walk, const struct level_node *node)
{
    size_t next;
    walk->node = node;
    walk->looked++;
    if (!walk->top && has_more(walk->filter, walk->at) &&
        level_is(level_at(walk->filter, walk->at, &next), '#'))
        walk->top = node;
}

static void go_down(struct walk *walk, const struct level_node *child)
{
    if (!walk->top)
        (void)level_at(walk->filter, walk->at, &walk->at);
    arrive(walk, child);
}

static void go_up(struct walk *walk)
{
    if (walk->top == walk->node)
        walk->top = NULL;
    if (!walk->top)
        walk->at = level_before(walk->filter, walk->at);
    walk->node = walk->node->parent;
}

static struct level_place place_of(const struct level_node *node)
{
    return (struct level_place){node->hash, node->name, node->name_bytes};
}

// The first child of the node that the filter allows, behind the place (NULL: of all).
static const struct level_node *allowed_child(const struct walk *walk, const struct level_place *after)
{
    if (!walk->top) {
        size_t next;
        if (!has_more(walk->filter, walk->at))
            return NULL;
        struct level level = level_at(walk->filter, walk->at, &next);
        if (!level_is(level, '+'))
            return after ? NULL
                         : level_child_find(walk->node, level.name, level.bytes,
                                            hash_of(walk->tree->seed, level));
    }
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
    for (size_t at = 0; has_more(path, at);) {
        struct level level = level_at(path, at, &at);
        struct level_place place = {hash_of(walk->tree->seed, level), level.name, level.bytes};
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

static struct walk begin_walk(const struct level_tree *tree, struct mqtt_text filter)
{
    struct walk walk = {.tree = tree, .filter = filter};
    arrive(&walk, tree->root);
    return walk;
}

static bool is_match(const struct walk *walk)
{
    return walk->node->value && (walk->top || !has_more(walk->filter, walk->at));
}

struct level_node *level_tree_next_name(const struct level_tree *tree, struct mqtt_text filter,
                                        struct level_cursor *cursor, int64_t most, int64_t *looked)
{
    struct walk walk = begin_walk(tree, filter);
    struct mqtt_text path = {cursor->path, cursor->bytes};
    if (cursor->is_done)
        return NULL;
    bool is_there = cursor->path ? go_to(&walk, path) : go_on(&walk, NULL);
    int64_t count = 1;
    while (is_there && !is_match(&walk) && count < most) {
        is_there = go_on(&walk, NULL);
        count++;
    }
    *looked += walk.looked;
    cursor->is_lost = is_there && !keep_place(cursor, walk.node);
    cursor->is_done = !is_there || cursor->is_lost;
    return is_there && is_match(&walk) ? (struct level_node *)walk.node : NULL;
}

void level_tree_match_names(const struct level_tree *tree, struct mqtt_text filter, level_visit *visit,
                            void *context)
{
    struct walk walk = begin_walk(tree, filter);
    while (go_on(&walk, NULL))
        if (is_match(&walk))
            visit(context, (struct level_node *)walk.node);
}

void level_tree_each(const struct level_tree *tree, level_visit *visit, void *context)
{
    const struct level_node *node = tree->root;
    while ((node = next_below(tree->root, node)))
        if (node->value)
            visit(context, (struct level_node *)node);
}

int64_t level_tree_count(const struct level_tree *tree)
{
    return tree->count;
}

int64_t level_tree_bytes(const struct level_tree *tree)
{
    return tree->bytes;
}

bool level_tree_is_valid(const struct level_tree *tree)
{
    if (tree->root->value || tree->root->parent)
        return false;
    int64_t count = 0, plus_count = 0, hash_count = 0;
    int64_t bytes = (int64_t)(account_heap_bytes(sizeof *tree) + account_heap_bytes(sizeof *tree->root) +
                              level_children_bytes(tree->root));
    const struct level_node *node = next_below(tree->root, tree->root);
    for (; node; node = next_below(tree->root, node), count++) {
        struct level level = {node->name, node->name_bytes};
        bytes += (int64_t)(account_heap_bytes(node_bytes(node->name_bytes)) + level_children_bytes(node));
        plus_count += level_is(level, '+');
        hash_count += level_is(level, '#');
        if (!node->value && node->child_count == 0)
            return false;
        if (node->hash != hash_of(tree->seed, level))
            return false;
        if (level_child_find(node->parent, node->name, node->name_bytes, node->hash) != node)
            return false;
        uint32_t children = 0;
        const struct level_node *child = level_child_first(node);
        for (; child; child = level_child_next(node, child), children++)
            if (child->parent != node)
                return false;
        if (children != node->child_count)
            return false;
    }
    return count == tree->count && plus_count == tree->plus_count && hash_count == tree->hash_count &&
           bytes == tree->bytes;
}
