// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/topics_own.h"

#include "broker/mqtt/topics.h"

static uint64_t priority_of(const struct topics_subscription *one)
{
    uint64_t hash = (uintptr_t)one->node * UINT64_C(0x9E3779B97F4A7C15);
    return (hash ^ hash >> 32) * UINT64_C(0xD6E8FEB86659FD93);
}

static bool is_before(const struct level_node *node, const struct level_node *other)
{
    return (uintptr_t)node < (uintptr_t)other;
}

struct topics_subscription *topics_own_find(const struct topics_subscriber *subscriber,
                                            const struct level_node *node)
{
    struct topics_subscription *one = subscriber->root;
    while (one && one->node != node)
        one = is_before(node, one->node) ? one->left : one->right;
    return one;
}

// It takes the place of the first one on its way that is lower in the heap. What is there is split into what is before it and
// what is behind it.
void topics_own_add(struct topics_subscription *made)
{
    uint64_t priority = priority_of(made);
    struct topics_subscription **link = &made->subscriber->root;
    while (*link && priority_of(*link) >= priority)
        link = is_before(made->node, (*link)->node) ? &(*link)->left : &(*link)->right;
    struct topics_subscription *rest = *link, **before = &made->left, **behind = &made->right;
    *link = made;
    while (rest) {
        if (is_before(rest->node, made->node)) {
            *before = rest;
            before = &rest->right;
            rest = rest->right;
        } else {
            *behind = rest;
            behind = &rest->left;
            rest = rest->left;
        }
    }
    *before = *behind = NULL;
}

// The subtrees below it are joined in its place.
void topics_own_remove(struct topics_subscription *one)
{
    struct topics_subscription **link = &one->subscriber->root;
    while (*link != one)
        link = is_before(one->node, (*link)->node) ? &(*link)->left : &(*link)->right;
    struct topics_subscription *before = one->left, *behind = one->right;
    while (before && behind) {
        if (priority_of(before) >= priority_of(behind)) {
            *link = before;
            link = &before->right;
            before = before->right;
        } else {
            *link = behind;
            link = &behind->left;
            behind = behind->left;
        }
    }
    *link = before ? before : behind;
}

static int64_t count(const struct topics_subscription *one)
{
    return one ? 1 + count(one->left) + count(one->right) : 0;
}

int64_t topics_own_count(const struct topics_subscriber *subscriber)
{
    return count(subscriber->root);
}
