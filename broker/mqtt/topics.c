// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/topics.h"

#include "broker/mqtt/topics_own.h"
#include "broker/mqtt/topics_state.h"

#include <errno.h>
#include <stdlib.h>

int topics_open(struct topics **topics, struct account *account)
{
    struct topics *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    if (level_tree_open(&made->tree, account, ACCOUNT_SUBSCRIPTIONS) < 0) {
        free(made);
        return -ENOMEM;
    }
    made->account = account;
    // Prefer writers: with the default, constant matching could block subscribers for ever.
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&made->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    *topics = made;
    return 0;
}

void topics_close(struct topics *topics)
{
    if (!topics)
        return;
    level_tree_close(topics->tree, topics_set_free);
    pthread_rwlock_destroy(&topics->lock);
    free(topics);
}

// The bytes of a set change with its subscriptions.
static int add_to_set(struct topics *topics, struct level_node *node,
                      struct topics_subscription *subscription)
{
    int64_t before = (int64_t)topics_set_bytes(node);
    int code = topics_set_add(node, subscription);
    topics->set_bytes += (int64_t)topics_set_bytes(node) - before;
    return code;
}

static void remove_from_set(struct topics *topics, struct level_node *node,
                            struct topics_subscription *subscription)
{
    int64_t before = (int64_t)topics_set_bytes(node);
    topics_set_remove(node, subscription);
    topics->set_bytes += (int64_t)topics_set_bytes(node) - before;
}

// Includes its place in the set of a filter; up to three quarters of a set may be empty.
enum { SUBSCRIPTION_COST = 48 + 4 * sizeof(void *) };

static int add(struct topics *topics, struct level_node *node, struct topics_subscriber *subscriber,
               uint8_t qos)
{
    if (!account_take(topics->account, ACCOUNT_SUBSCRIPTIONS, SUBSCRIPTION_COST))
        return -ENOMEM;
    struct topics_subscription *made = malloc(sizeof *made);
    if (!made)
        goto fail_account;
    *made = (struct topics_subscription){.node = node, .subscriber = subscriber, .qos = qos};
    if (add_to_set(topics, node, made) < 0)
        goto fail_made;
    topics_own_add(made);
    topics->count++;
    return 1;
fail_made:
    free(made);
fail_account:
    account_give(topics->account, ACCOUNT_SUBSCRIPTIONS, SUBSCRIPTION_COST);
    return -ENOMEM;
}

static void remove_one(struct topics *topics, struct topics_subscription *subscription)
{
    struct level_node *node = subscription->node;
    topics_own_remove(subscription);
    remove_from_set(topics, node, subscription);
    level_tree_prune(topics->tree, node);
    free(subscription);
    account_give(topics->account, ACCOUNT_SUBSCRIPTIONS, SUBSCRIPTION_COST);
    topics->count--;
}

int topics_subscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter,
                     uint8_t qos)
{
    int result = -ENOMEM;
    pthread_rwlock_wrlock(&topics->lock);
    struct level_node *node = level_tree_make(topics->tree, filter);
    if (node) {
        struct topics_subscription *old = topics_own_find(subscriber, node);
        if (old)
            old->qos = qos;
        result = old ? 0 : add(topics, node, subscriber, qos);
        level_tree_prune(topics->tree, node); // a new node without memory for its first subscription
    }
    pthread_rwlock_unlock(&topics->lock);
    return result;
}

bool topics_unsubscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter)
{
    pthread_rwlock_wrlock(&topics->lock);
    struct level_node *node = level_tree_find(topics->tree, filter);
    struct topics_subscription *subscription = node ? topics_own_find(subscriber, node) : NULL;
    if (subscription)
        remove_one(topics, subscription);
    pthread_rwlock_unlock(&topics->lock);
    return subscription != NULL;
}

bool topics_leave_some(struct topics *topics, struct topics_subscriber *subscriber, uint32_t most)
{
    pthread_rwlock_wrlock(&topics->lock);
    for (; subscriber->root && most > 0; most--)
        remove_one(topics, subscriber->root);
    bool has_left = !subscriber->root;
    pthread_rwlock_unlock(&topics->lock);
    return has_left;
}

void topics_leave(struct topics *topics, struct topics_subscriber *subscriber)
{
    while (!topics_leave_some(topics, subscriber, UINT32_MAX))
        continue;
}

int64_t topics_count(struct topics *topics)
{
    pthread_rwlock_rdlock(&topics->lock);
    int64_t count = topics->count;
    pthread_rwlock_unlock(&topics->lock);
    return count;
}

int64_t topics_bytes(struct topics *topics)
{
    pthread_rwlock_rdlock(&topics->lock);
    int64_t bytes = (int64_t)account_heap_bytes(sizeof *topics) + level_tree_bytes(topics->tree) +
                    topics->set_bytes +
                    topics->count * (int64_t)account_heap_bytes(sizeof(struct topics_subscription));
    pthread_rwlock_unlock(&topics->lock);
    return bytes;
}

int64_t topics_subscriber_count(struct topics *topics, const struct topics_subscriber *subscriber)
{
    pthread_rwlock_rdlock(&topics->lock);
    int64_t count = topics_own_count(subscriber);
    pthread_rwlock_unlock(&topics->lock);
    return count;
}

struct check {
    int64_t count, set_bytes;
    bool valid;
};

static void check_node(void *context, struct level_node *node)
{
    struct check *check = context;
    struct topics_view view = topics_set_view(node);
    for (uint32_t i = 0; i < view.count; i++) {
        struct topics_subscription *one = topics_view_at(&view, i);
        check->valid = check->valid && topics_own_find(one->subscriber, node) == one;
    }
    check->count += view.count;
    check->set_bytes += (int64_t)topics_set_bytes(node);
    check->valid = check->valid && topics_set_is_valid(node);
}

bool topics_is_valid(struct topics *topics)
{
    struct check check = {.valid = true};
    pthread_rwlock_rdlock(&topics->lock);
    level_tree_each(topics->tree, check_node, &check);
    bool valid = level_tree_is_valid(topics->tree) && check.valid && check.count == topics->count &&
                 check.set_bytes == topics->set_bytes;
    pthread_rwlock_unlock(&topics->lock);
    return valid;
}
