// SPDX-License-Identifier: Apache-2.0
// Matching. Usually one filter matches, and its subscribers are visited directly. With several filters, a
// subscriber may be in more than one set. Then the longest set is walked unsorted. All other sets are sorted
// into one array, in which each subscriber of the longest set is searched.
#include "broker/mqtt/topics.h"
#include "broker/mqtt/topics_state.h"

#include <errno.h>
#include <stdlib.h>

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

struct rest { // subscriptions of all matching nodes except the longest set, sorted by subscriber
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
        if (topics_set_view(found->nodes[i]).count > topics_set_view(found->nodes[longest]).count)
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
        count += i == without ? 0 : topics_set_view(found->nodes[i]).count;
    rest->items =
        count <= sizeof rest->few / sizeof rest->few[0] ? rest->few : malloc(count * sizeof rest->items[0]);
    if (!rest->items)
        return -ENOMEM;
    rest->count = 0;
    for (size_t i = 0; i < found->count; i++) {
        struct topics_view view = i == without ? (struct topics_view){0} : topics_set_view(found->nodes[i]);
        for (uint32_t k = 0; k < view.count; k++)
            rest->items[rest->count++] =
                (struct wanted){topics_view_at(&view, k)->subscriber, topics_view_at(&view, k)->qos, false};
    }
    sort_and_join(rest);
    return 0;
}

static int64_t visit_all(struct topics_view longest, struct rest *rest, topics_visit *visit, void *context)
{
    int64_t visits = longest.count;
    for (uint32_t i = 0; i < longest.count; i++) {
        struct wanted key = {topics_view_at(&longest, i)->subscriber, topics_view_at(&longest, i)->qos,
                             false};
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
            visits = visit_all(topics_set_view(found.nodes[longest]), &rest, visit, context);
    }
    pthread_rwlock_unlock(&topics->lock);
    if (rest.items != rest.few)
        free(rest.items);
    if (found.nodes != found.few)
        free(found.nodes);
    return visits;
}
