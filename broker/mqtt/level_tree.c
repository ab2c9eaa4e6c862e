// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/level_tree.h"

#include "broker/mqtt/level_filters.h"
#include "broker/mqtt/level_inside.h"

#include <errno.h>
#include <stdlib.h>

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
    name_key_make(&made->key);
    made->plus_hash = level_hash(made, (struct level){"+", 1});
    made->hash_hash = level_hash(made, (struct level){"#", 1});
    *tree = made;
    return 0;
}

static size_t node_bytes(size_t name_bytes)
{
    // A short name lies in the padding at the end of the struct.
    size_t bytes = offsetof(struct level_node, name) + name_bytes;
    return bytes < sizeof(struct level_node) ? sizeof(struct level_node) : bytes;
}

static size_t node_cost(size_t name_bytes)
{
    return account_heap_bytes(node_bytes(name_bytes)) + LEVEL_SHARE_BYTES;
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
    for (size_t at = 0; node && level_has_more(path, at);) {
        struct level level = level_at(path, at, &at);
        node = level_child_find(node, level.name, level.bytes, level_hash(tree, level));
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
    for (size_t at = 0; level_has_more(path, at);) {
        struct level level = level_at(path, at, &at);
        uint32_t hash = level_hash(tree, level);
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

int64_t level_tree_match_filters(const struct level_tree *tree, struct mqtt_text name, level_visit *visit,
                                 void *context)
{
    struct level_search search;
    struct level_node *node;
    level_search_begin(&search, tree, name);
    while ((node = level_search_next(&search, INT64_MAX)))
        visit(context, node);
    level_search_end(&search);
    return search.name.no_memory ? -ENOMEM : search.looked;
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
        if (node->hash != level_hash(tree, level))
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
