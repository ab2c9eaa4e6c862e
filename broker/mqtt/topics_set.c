// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/topics_set.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 4 };

struct set {
    uint32_t count, capacity; // count is at least 2
    struct topics_subscription *items[];
};

static struct set *set_of(void *value)
{
    return (uintptr_t)value & 1 ? (struct set *)((uintptr_t)value & ~(uintptr_t)1) : NULL;
}

static void *value_of(struct set *set)
{
    return (void *)((uintptr_t)set | 1);
}

struct topics_view topics_set_view(struct level_node *node)
{
    void *value = *level_node_value(node);
    struct set *set = set_of(value);
    if (set)
        return (struct topics_view){NULL, set->items, set->count};
    return (struct topics_view){value, NULL, value ? 1 : 0};
}

static struct set *resize(struct set *set, uint32_t capacity)
{
    struct set *resized = realloc(set, sizeof *set + capacity * sizeof set->items[0]);
    if (resized)
        resized->capacity = capacity;
    return resized;
}

// The set with room for one more entry. A new set starts with `one`. NULL: no memory.
static struct set *with_room(struct set *set, struct topics_subscription *one)
{
    if (set && set->count < set->capacity)
        return set;
    if (set)
        return set->capacity < UINT32_MAX / 2 ? resize(set, 2 * set->capacity) : NULL;
    set = resize(NULL, CAPACITY_MIN);
    if (set) {
        set->count = 1;
        set->items[0] = one;
    }
    return set;
}

int topics_set_add(struct level_node *node, struct topics_subscription *subscription)
{
    void **value = level_node_value(node);
    subscription->index = 0;
    if (!*value) {
        *value = subscription;
        return 0;
    }
    struct set *old = set_of(*value);
    struct set *set = with_room(old, old ? NULL : *value);
    if (!set)
        return -ENOMEM;
    subscription->index = set->count;
    set->items[set->count++] = subscription;
    *value = value_of(set);
    return 0;
}

void topics_set_remove(struct level_node *node, struct topics_subscription *subscription)
{
    void **value = level_node_value(node);
    struct set *set = set_of(*value);
    if (!set) {
        *value = NULL;
        return;
    }
    struct topics_subscription *last = set->items[--set->count];
    set->items[subscription->index] = last;
    last->index = subscription->index;
    if (set->count == 1) {
        *value = set->items[0];
        set->items[0]->index = 0;
        free(set);
    } else if (set->capacity > CAPACITY_MIN && set->count < set->capacity / 4) {
        struct set *shrunk = resize(set, set->capacity / 2);
        *value = value_of(shrunk ? shrunk : set);
    }
}

size_t topics_set_bytes(struct level_node *node)
{
    const struct set *set = set_of(*level_node_value(node));
    return set ? account_heap_bytes(sizeof *set + set->capacity * sizeof set->items[0]) : 0;
}

void topics_set_free(void *value)
{
    struct set *set = set_of(value);
    if (!set) {
        free(value);
        return;
    }
    for (uint32_t i = 0; i < set->count; i++)
        free(set->items[i]);
    free(set);
}

bool topics_set_is_valid(struct level_node *node)
{
    struct topics_view view = topics_set_view(node);
    struct set *set = set_of(*level_node_value(node));
    if (set && (set->count < 2 || set->count > set->capacity))
        return false;
    for (uint32_t i = 0; i < view.count; i++) {
        const struct topics_subscription *one = topics_view_at(&view, i);
        if (one->node != node || one->index != i || one->qos > 2)
            return false;
    }
    return true;
}
