// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/level_children.h"

#include "broker/mqtt/account.h"

#include <stdlib.h>

struct level_buckets {
    struct level_node **heads;
    uint32_t mask;
};

struct level_table {
    struct level_buckets now, old; // old.heads is NULL when nothing is being moved
    uint32_t moved;                // buckets of `old` below this one are empty
};

static bool is_named(const struct level_node *node, const char *name, size_t bytes, uint32_t hash)
{
    return node->hash == hash && node->name_bytes == bytes && memcmp(node->name, name, bytes) == 0;
}

// The head of the list or bucket for that hash.
static struct level_node **head_of(const struct level_node *parent, uint32_t hash)
{
    if (!parent->has_table)
        return (struct level_node **)&parent->children.list;
    const struct level_table *table = parent->children.table;
    if (table->old.heads && (hash & table->old.mask) >= table->moved)
        return &table->old.heads[hash & table->old.mask];
    return &table->now.heads[hash & table->now.mask];
}

struct level_node *level_child_find(const struct level_node *parent, const char *name, size_t bytes,
                                    uint32_t hash)
{
    struct level_node *child = *head_of(parent, hash);
    while (child && !is_named(child, name, bytes, hash))
        child = child->next;
    return child;
}

static void push(struct level_node **head, struct level_node *child)
{
    child->next = *head;
    *head = child;
}

static void move_some(struct level_table *table)
{
    if (!table->old.heads)
        return;
    for (int i = 0; i < LEVEL_MOVES && table->moved <= table->old.mask; i++) {
        struct level_node *child = table->old.heads[table->moved++];
        while (child) {
            struct level_node *next = child->next;
            push(&table->now.heads[child->hash & table->now.mask], child);
            child = next;
        }
    }
    if (table->moved > table->old.mask) {
        free(table->old.heads);
        table->old = (struct level_buckets){0};
    }
}

// Starts a move to `buckets` buckets, unless a move is in progress or there is no memory.
static void begin_move(struct level_table *table, uint32_t buckets)
{
    if (table->old.heads)
        return;
    struct level_node **heads = calloc(buckets, sizeof *heads);
    if (!heads)
        return;
    table->old = table->now;
    table->now = (struct level_buckets){heads, buckets - 1};
    table->moved = 0;
}

static void list_to_table(struct level_node *parent)
{
    uint32_t buckets = LEVEL_BUCKETS_MIN;
    struct level_table *table = calloc(1, sizeof *table);
    struct level_node **heads = calloc(buckets, sizeof *heads);
    if (!table || !heads) {
        free(table);
        free(heads);
        return;
    }
    table->now = (struct level_buckets){heads, buckets - 1};
    struct level_node *child = parent->children.list;
    while (child) {
        struct level_node *next = child->next;
        push(&heads[child->hash & table->now.mask], child);
        child = next;
    }
    parent->children.table = table;
    parent->has_table = true;
}

// Only of the smallest table. A larger one that could not shrink stays.
static void table_to_list(struct level_node *parent)
{
    struct level_table *table = parent->children.table;
    struct level_node *list = NULL;
    if (table->old.heads || table->now.mask >= LEVEL_BUCKETS_MIN)
        return;
    for (uint32_t i = 0; i <= table->now.mask; i++)
        while (table->now.heads[i]) {
            struct level_node *child = table->now.heads[i];
            table->now.heads[i] = child->next;
            push(&list, child);
        }
    level_children_free(parent);
    parent->children.list = list;
}

// An array that is left has twice as many buckets as the next one, and a move takes a sixteenth as many changes as it has
// buckets. So a move that begins with fewer than 7/16 of the buckets in use ends with more than 6/16: then the old array and
// the new one have four buckets for each child.
static void shrink(struct level_node *parent)
{
    struct level_table *table = parent->children.table;
    uint32_t buckets = table->now.mask + 1;
    if (buckets > LEVEL_BUCKETS_MIN && (uint64_t)parent->child_count * 16 < (uint64_t)buckets * 7)
        begin_move(table, buckets / 2);
    move_some(table);
    if (parent->child_count < LEVEL_TABLE_MIN)
        table_to_list(parent);
}

void level_child_add(struct level_node *parent, struct level_node *child)
{
    if (!parent->has_table && parent->child_count >= LEVEL_LIST_MAX)
        list_to_table(parent);
    if (parent->has_table) {
        struct level_table *table = parent->children.table;
        if (parent->child_count > table->now.mask && table->now.mask < UINT32_MAX / 4)
            begin_move(table, 2 * (table->now.mask + 1));
        move_some(table);
    }
    push(head_of(parent, child->hash), child);
    parent->child_count++;
}

void level_child_remove(struct level_node *parent, struct level_node *child)
{
    struct level_node **link = head_of(parent, child->hash);
    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
    child->next = NULL;
    parent->child_count--;
    if (!parent->has_table)
        return;
    if (parent->child_count == 0)
        level_children_free(parent);
    else
        shrink(parent);
}

static struct level_node *first_in(const struct level_buckets *buckets, uint32_t from)
{
    for (uint32_t i = from; buckets->heads && i <= buckets->mask; i++)
        if (buckets->heads[i])
            return buckets->heads[i];
    return NULL;
}

struct level_node *level_child_first(const struct level_node *parent)
{
    if (!parent->has_table)
        return parent->children.list;
    const struct level_table *table = parent->children.table;
    struct level_node *child = first_in(&table->old, table->moved);
    return child ? child : first_in(&table->now, 0);
}

struct level_node *level_child_next(const struct level_node *parent, const struct level_node *child)
{
    if (child->next || !parent->has_table)
        return child->next;
    const struct level_table *table = parent->children.table;
    if (table->old.heads && (child->hash & table->old.mask) >= table->moved) {
        struct level_node *next = first_in(&table->old, (child->hash & table->old.mask) + 1);
        return next ? next : first_in(&table->now, 0);
    }
    return first_in(&table->now, (child->hash & table->now.mask) + 1);
}

static size_t heads_bytes(const struct level_buckets *buckets)
{
    return buckets->heads ? account_heap_bytes(((size_t)buckets->mask + 1) * sizeof(struct level_node *)) : 0;
}

size_t level_children_bytes(const struct level_node *node)
{
    if (!node->has_table)
        return 0;
    const struct level_table *table = node->children.table;
    return account_heap_bytes(sizeof *table) + heads_bytes(&table->now) + heads_bytes(&table->old);
}

static uint32_t reversed(uint32_t bits)
{
    bits = (bits >> 1 & 0x55555555) | (bits & 0x55555555) << 1;
    bits = (bits >> 2 & 0x33333333) | (bits & 0x33333333) << 2;
    bits = (bits >> 4 & 0x0F0F0F0F) | (bits & 0x0F0F0F0F) << 4;
    return __builtin_bswap32(bits);
}

// Is the node behind the place?
static bool is_behind(const struct level_node *node, const struct level_place *place)
{
    if (node->hash != place->hash)
        return reversed(node->hash) > reversed(place->hash);
    if (node->name_bytes != place->bytes)
        return node->name_bytes > place->bytes;
    return memcmp(node->name, place->name, place->bytes) > 0;
}

// The first of a list and of `*first` (NULL: none) that is behind the place.
static void choose(struct level_node *list, const struct level_place *place, struct level_node **first)
{
    for (; list; list = list->next) {
        struct level_place at = {list->hash, list->name, list->name_bytes};
        if ((!place || is_behind(list, place)) && (!*first || is_behind(*first, &at)))
            *first = list;
    }
}

// Of the buckets from `from` on whose lowest bits, those of `mask`, are `low`.
static void choose_in(const struct level_buckets *buckets, uint32_t from, uint32_t low, uint32_t mask,
                      const struct level_place *place, struct level_node **first)
{
    for (uint64_t i = low; buckets->heads && i <= buckets->mask; i += (uint64_t)mask + 1)
        if (i >= from)
            choose(buckets->heads[i], place, first);
}

struct level_node *level_child_after(const struct level_node *parent, const struct level_place *place)
{
    struct level_node *first = NULL;
    if (!parent->has_table) {
        choose(parent->children.list, place, &first);
        return first;
    }
    // Buckets whose lowest bits are the same are next to each other in the order. While a table is resized, the smaller
    // array tells how many bits that are.
    const struct level_table *table = parent->children.table;
    bool is_old_smaller = table->old.heads && table->old.mask < table->now.mask;
    uint32_t mask = is_old_smaller ? table->old.mask : table->now.mask;
    uint32_t step = reversed(mask) & (~reversed(mask) + 1); // one, at the place of the highest bit of `mask`
    uint32_t at = place ? reversed(place->hash & mask) : 0;
    do {
        uint32_t low = reversed(at);
        choose_in(&table->now, 0, low, mask, place, &first);
        choose_in(&table->old, table->moved, low, mask, place, &first);
        at += step; // 0: it was the last
    } while (!first && at != 0);
    return first;
}

void level_children_free(struct level_node *node)
{
    if (!node->has_table)
        return;
    free(node->children.table->now.heads);
    free(node->children.table->old.heads);
    free(node->children.table);
    node->children.list = NULL;
    node->has_table = false;
}
