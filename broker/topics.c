// SPDX-License-Identifier: Apache-2.0
#include "broker/topics.h"
#include "broker/level_tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct topics_subscription { // 40 bytes: what glibc's 48-byte chunk holds
    struct level_node *node;
    struct topics_subscriber *subscriber;
    struct topics_subscription *next,
        **link;     // in the chain of the subscriber; `link` points at what points here
    uint32_t index; // in the set of the node
    uint8_t qos;
};

// The subscriptions of one node. Nearly every node has one, which its value points to directly; two and more
// have a set, and the value's lowest bit says so.
struct set {
    uint32_t count, capacity;
    struct topics_subscription *items[];
};

struct topics {
    pthread_rwlock_t lock;   // guards all below, every subscription, and every subscriber's chain
    struct level_tree *tree; // of filters
    int64_t count;
};

// A node's subscriptions, whichever way they are kept.
struct view {
    struct topics_subscription *const *items;
    uint32_t count;
};

static struct set *set_of(void *value)
{
    return (uintptr_t)value & 1 ? (struct set *)((uintptr_t)value & ~(uintptr_t)1) : NULL;
}

static void *value_of(struct set *set)
{
    return (void *)((uintptr_t)set | 1);
}

static struct view view_of(struct level_node *node)
{
    void **value = level_node_value(node);
    struct set *set = set_of(*value);
    if (set)
        return (struct view){set->items, set->count};
    return (struct view){(struct topics_subscription *const *)value, *value ? 1 : 0};
}

static struct set *set_resize(struct set *set, uint32_t capacity)
{
    struct set *resized = realloc(set, sizeof *set + capacity * sizeof set->items[0]);
    if (resized)
        resized->capacity = capacity;
    return resized;
}

static int set_add(void **value, struct topics_subscription *subscription)
{
    if (!*value) {
        *value = subscription;
        return 0;
    }
    struct set *set = set_of(*value), *grown = set;
    if (!set) {
        grown = set_resize(NULL, 4);
        if (grown) {
            grown->count = 1;
            grown->items[0] = *value;
        }
    } else if (set->count == set->capacity) {
        grown = set->capacity < UINT32_MAX / 2 ? set_resize(set, 2 * set->capacity) : NULL;
    }
    if (!grown)
        return -ENOMEM;
    subscription->index = grown->count;
    grown->items[grown->count++] = subscription;
    *value = value_of(grown);
    return 0;
}

static void set_remove(void **value, struct topics_subscription *subscription)
{
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
    } else if (set->capacity > 4 && set->count < set->capacity / 4) {
        struct set *shrunk = set_resize(set, set->capacity / 2);
        *value = value_of(shrunk ? shrunk : set);
    }
}

int topics_open(struct topics **topics)
{
    struct topics *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    if (level_tree_open(&made->tree) < 0) {
        free(made);
        return -ENOMEM;
    }
    // A flood of matches must not keep subscribers waiting for ever, as the default would.
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&made->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    *topics = made;
    return 0;
}

static void drop_value(void *value)
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

void topics_close(struct topics *topics)
{
    if (!topics)
        return;
    level_tree_close(topics->tree, drop_value);
    pthread_rwlock_destroy(&topics->lock);
    free(topics);
}

// The subscriber's subscription at `node`. Either may be long, the set of the node or the chain of the
// subscriber, but seldom both: they are searched side by side, and the shorter one ends it.
static struct topics_subscription *find(struct level_node *node, const struct topics_subscriber *subscriber)
{
    struct view view = view_of(node);
    struct topics_subscription *in_chain = subscriber->first;
    for (uint32_t i = 0; i < view.count && in_chain; i++, in_chain = in_chain->next) {
        if (view.items[i]->subscriber == subscriber)
            return view.items[i];
        if (in_chain->node == node)
            return in_chain;
    }
    return NULL;
}

static int add(struct topics *topics, struct level_node *node, struct topics_subscriber *subscriber,
               uint8_t qos)
{
    struct topics_subscription *made = malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = (struct topics_subscription){node, subscriber, subscriber->first, &subscriber->first, 0, qos};
    if (set_add(level_node_value(node), made) < 0) {
        free(made);
        return -ENOMEM;
    }
    if (made->next)
        made->next->link = &made->next;
    subscriber->first = made;
    topics->count++;
    return 1;
}

static void remove_one(struct topics *topics, struct topics_subscription *subscription)
{
    struct level_node *node = subscription->node;
    set_remove(level_node_value(node), subscription);
    level_tree_prune(topics->tree, node);
    *subscription->link = subscription->next;
    if (subscription->next)
        subscription->next->link = subscription->link;
    free(subscription);
    topics->count--;
}

int topics_subscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter,
                     uint8_t qos)
{
    int result = -ENOMEM;
    pthread_rwlock_wrlock(&topics->lock);
    struct level_node *node = level_tree_make(topics->tree, filter);
    if (node) {
        struct topics_subscription *old = find(node, subscriber);
        if (old)
            old->qos = qos;
        result = old ? 0 : add(topics, node, subscriber, qos);
        level_tree_prune(topics->tree, node); // a new node, and no memory for its first subscription
    }
    pthread_rwlock_unlock(&topics->lock);
    return result;
}

bool topics_unsubscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter)
{
    pthread_rwlock_wrlock(&topics->lock);
    struct level_node *node = level_tree_find(topics->tree, filter);
    struct topics_subscription *subscription = node ? find(node, subscriber) : NULL;
    if (subscription)
        remove_one(topics, subscription);
    pthread_rwlock_unlock(&topics->lock);
    return subscription != NULL;
}

void topics_leave(struct topics *topics, struct topics_subscriber *subscriber)
{
    pthread_rwlock_wrlock(&topics->lock);
    while (subscriber->first)
        remove_one(topics, subscriber->first);
    pthread_rwlock_unlock(&topics->lock);
}

int64_t topics_count(struct topics *topics)
{
    pthread_rwlock_rdlock(&topics->lock);
    int64_t count = topics->count;
    pthread_rwlock_unlock(&topics->lock);
    return count;
}

int64_t topics_subscriber_count(struct topics *topics, const struct topics_subscriber *subscriber)
{
    int64_t count = 0;
    pthread_rwlock_rdlock(&topics->lock);
    for (const struct topics_subscription *one = subscriber->first; one; one = one->next)
        count++;
    pthread_rwlock_unlock(&topics->lock);
    return count;
}

// Matching. One matching filter, the usual case, is handed out as it is. With several, a subscriber may be in
// more than one: the longest set is walked as it is, and the rest is sorted, so that each of the longest
// finds itself in it.

struct found { // the nodes that match
    struct level_node *few[16], **nodes;
    size_t count, capacity;
    bool no_memory;
};

struct wanted {
    struct topics_subscriber *subscriber;
    uint8_t qos;
    bool done;
};

struct rest { // the subscriptions of all matching nodes but the one with most, sorted by subscriber
    struct wanted few[64], *items;
    size_t count;
};

static void collect_node(void *context, struct level_node *node)
{
    struct found *found = context;
    if (found->count == found->capacity) {
        struct level_node **more = malloc(2 * found->capacity * sizeof *more);
        if (!more) {
            found->no_memory = true;
            return;
        }
        memcpy(more, found->nodes, found->count * sizeof *more);
        if (found->nodes != found->few)
            free(found->nodes);
        found->nodes = more;
        found->capacity *= 2;
    }
    found->nodes[found->count++] = node;
}

static size_t longest_of(const struct found *found)
{
    size_t longest = 0;
    for (size_t i = 1; i < found->count; i++)
        if (view_of(found->nodes[i]).count > view_of(found->nodes[longest]).count)
            longest = i;
    return longest;
}

static int compare(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t)((const struct wanted *)a)->subscriber;
    uintptr_t other = (uintptr_t)((const struct wanted *)b)->subscriber;
    return (one > other) - (one < other);
}

static void sort_and_join(struct rest *rest)
{
    size_t kept = 0;
    qsort(rest->items, rest->count, sizeof rest->items[0], compare);
    for (size_t i = 0; i < rest->count; i++) {
        struct wanted *last = kept ? &rest->items[kept - 1] : NULL;
        if (last && last->subscriber == rest->items[i].subscriber)
            last->qos = last->qos > rest->items[i].qos ? last->qos : rest->items[i].qos;
        else
            rest->items[kept++] = rest->items[i];
    }
    rest->count = kept;
}

static int collect_rest(struct rest *rest, const struct found *found, size_t without)
{
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++)
        count += i == without ? 0 : view_of(found->nodes[i]).count;
    rest->items =
        count <= sizeof rest->few / sizeof rest->few[0] ? rest->few : malloc(count * sizeof rest->items[0]);
    if (!rest->items)
        return -ENOMEM;
    rest->count = 0;
    for (size_t i = 0; i < found->count; i++) {
        struct view view = i == without ? (struct view){0} : view_of(found->nodes[i]);
        for (uint32_t k = 0; k < view.count; k++)
            rest->items[rest->count++] =
                (struct wanted){view.items[k]->subscriber, view.items[k]->qos, false};
    }
    sort_and_join(rest);
    return 0;
}

static int64_t visit_all(struct view longest, struct rest *rest, topics_visit *visit, void *context)
{
    int64_t visits = longest.count;
    for (uint32_t i = 0; i < longest.count; i++) {
        struct wanted key = {longest.items[i]->subscriber, longest.items[i]->qos, false};
        struct wanted *twin =
            rest->count ? bsearch(&key, rest->items, rest->count, sizeof key, compare) : NULL;
        if (twin) {
            twin->done = true;
            key.qos = key.qos > twin->qos ? key.qos : twin->qos;
        }
        visit(context, key.subscriber, key.qos);
    }
    for (size_t i = 0; i < rest->count; i++) {
        if (rest->items[i].done)
            continue;
        visit(context, rest->items[i].subscriber, rest->items[i].qos);
        visits++;
    }
    return visits;
}

int64_t topics_match(struct topics *topics, struct mqtt_text name, topics_visit *visit, void *context)
{
    struct found found = {.capacity = sizeof found.few / sizeof found.few[0]};
    struct rest rest;
    rest.items = rest.few;
    rest.count = 0;
    found.nodes = found.few;
    int64_t visits = 0;
    pthread_rwlock_rdlock(&topics->lock);
    level_tree_match_filters(topics->tree, name, collect_node, &found);
    if (found.no_memory) {
        visits = -ENOMEM;
    } else if (found.count > 0) {
        size_t longest = longest_of(&found);
        if (found.count > 1 && collect_rest(&rest, &found, longest) < 0)
            visits = -ENOMEM;
        else
            visits = visit_all(view_of(found.nodes[longest]), &rest, visit, context);
    }
    pthread_rwlock_unlock(&topics->lock);
    if (rest.items != rest.few)
        free(rest.items);
    if (found.nodes != found.few)
        free(found.nodes);
    return visits;
}

struct check {
    int64_t count;
    bool valid;
};

static void check_node(void *context, struct level_node *node)
{
    struct check *check = context;
    struct view view = view_of(node);
    struct set *set = set_of(*level_node_value(node));
    if (set && (set->count < 2 || set->count > set->capacity))
        check->valid = false;
    for (uint32_t i = 0; i < view.count; i++, check->count++) {
        const struct topics_subscription *one = view.items[i];
        if (one->node != node || one->index != i || one->qos > 2 || *one->link != one)
            check->valid = false;
    }
}

bool topics_is_valid(struct topics *topics)
{
    struct check check = {0, true};
    pthread_rwlock_rdlock(&topics->lock);
    level_tree_each(topics->tree, check_node, &check);
    bool valid = level_tree_is_valid(topics->tree) && check.valid && check.count == topics->count;
    pthread_rwlock_unlock(&topics->lock);
    return valid;
}
