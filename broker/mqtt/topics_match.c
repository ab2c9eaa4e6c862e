// SPDX-License-Identifier: Apache-2.0
// Matching. Usually one filter matches, and its subscribers are visited directly. With several filters, a
// subscriber may be in more than one set. Then all sets but the longest are joined in one table, in which each
// subscriber of the longest set is looked up. So the time is linear, also when thousands of filters of one client match.
#include "broker/mqtt/level_filters.h"
#include "broker/mqtt/topics.h"
#include "broker/mqtt/topics_state.h"

#include <errno.h>
#include <stdlib.h>

struct found { // the nodes that match
    struct account *account;
    struct level_node *few[16], **nodes;
    size_t count, capacity;
    bool no_memory;
};

struct wanted {
    struct topics_subscriber *subscriber;
    uint8_t qos;
    bool done;
};

enum { SLOTS_FEW = 128 }; // a power of two

struct rest { // subscribers of all matching nodes except the longest set, each once: a hash table
    struct wanted few[SLOTS_FEW], *slots;
    size_t capacity; // a power of two, at least twice as many as are in it; 0: none
    size_t joined;   // subscriptions that were put into it
};

// Zeroed memory for one search, which the account has.
static void *take(struct account *account, size_t count, size_t bytes)
{
    if (!account_take(account, ACCOUNT_SUBSCRIPTIONS, account_heap_bytes(count * bytes)))
        return NULL;
    void *memory = calloc(count, bytes);
    if (!memory)
        account_give(account, ACCOUNT_SUBSCRIPTIONS, account_heap_bytes(count * bytes));
    return memory;
}

static void give(struct account *account, void *memory, size_t count, size_t bytes)
{
    account_give(account, ACCOUNT_SUBSCRIPTIONS, account_heap_bytes(count * bytes));
    free(memory);
}

static void give_nodes(struct found *found)
{
    if (found->nodes != found->few)
        give(found->account, found->nodes, found->capacity, sizeof found->nodes[0]);
}

static void collect_node(struct found *found, struct level_node *node)
{
    if (found->count == found->capacity) {
        struct level_node **more = take(found->account, 2 * found->capacity, sizeof *more);
        if (!more) {
            found->no_memory = true;
            return;
        }
        memcpy(more, found->nodes, found->count * sizeof *more);
        give_nodes(found);
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

// The place of the subscriber, or the free one for it.
static struct wanted *slot_of(const struct rest *rest, const struct topics_subscriber *subscriber)
{
    uint64_t hash = (uintptr_t)subscriber * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> 32) & (rest->capacity - 1);
    while (rest->slots[at].subscriber && rest->slots[at].subscriber != subscriber)
        at = (at + 1) & (rest->capacity - 1);
    return &rest->slots[at];
}

static void join(struct rest *rest, const struct topics_subscription *one)
{
    struct wanted *slot = slot_of(rest, one->subscriber);
    if (!slot->subscriber)
        *slot = (struct wanted){one->subscriber, one->qos, false};
    else if (slot->qos < one->qos)
        slot->qos = one->qos;
}

static int collect_rest(struct rest *rest, const struct found *found, size_t without)
{
    for (size_t i = 0; i < found->count; i++)
        rest->joined += i == without ? 0 : topics_set_view(found->nodes[i]).count;
    rest->capacity = SLOTS_FEW;
    while (rest->capacity < 2 * rest->joined)
        rest->capacity *= 2;
    if (rest->capacity == SLOTS_FEW)
        memset(rest->few, 0, sizeof rest->few);
    else
        rest->slots = take(found->account, rest->capacity, sizeof *rest->slots);
    if (!rest->slots)
        return -ENOMEM;
    for (size_t i = 0; i < found->count; i++) {
        struct topics_view view = i == without ? (struct topics_view){0} : topics_set_view(found->nodes[i]);
        for (uint32_t k = 0; k < view.count; k++)
            join(rest, topics_view_at(&view, k));
    }
    return 0;
}

static int64_t visit_all(struct topics_view longest, struct rest *rest, topics_visit *visit, void *context)
{
    int64_t visits = longest.count;
    for (uint32_t i = 0; i < longest.count; i++) {
        const struct topics_subscription *one = topics_view_at(&longest, i);
        struct wanted *twin = rest->capacity ? slot_of(rest, one->subscriber) : NULL;
        uint8_t qos = one->qos;
        if (twin && twin->subscriber) {
            twin->done = true;
            qos = qos > twin->qos ? qos : twin->qos;
        }
        visit(context, one->subscriber, qos);
    }
    for (size_t i = 0; i < rest->capacity; i++) {
        if (!rest->slots[i].subscriber || rest->slots[i].done)
            continue;
        visit(context, rest->slots[i].subscriber, rest->slots[i].qos);
        visits++;
    }
    return visits;
}

// A node costs about a tenth of a microsecond, an entry of the table two. The first nodes are in the caches of the
// processor, and in the work of the message.
static uint32_t work_of(int64_t nodes, size_t joined)
{
    enum { NODES_FEW = 8 };
    return (nodes > NODES_FEW ? (uint32_t)((nodes - NODES_FEW) / 2) : 0) + (uint32_t)joined;
}

// The nodes that match. 0, -ENOMEM or -E2BIG.
static int find_nodes(struct topics *topics, struct mqtt_text name, const struct topics_bounds *bounds,
                      struct found *found, int64_t *looked)
{
    struct level_search search;
    struct level_node *node;
    level_search_begin(&search, topics->tree, name);
    while (!found->no_memory &&
           (node = level_search_next(&search, bounds ? bounds->nodes - search.looked : INT64_MAX)))
        collect_node(found, node);
    level_search_end(&search);
    *looked = search.looked;
    if (search.name.no_memory || found->no_memory)
        return -ENOMEM;
    return search.is_over ? 0 : -E2BIG;
}

static bool is_within(const struct found *found, size_t longest, const struct topics_bounds *bounds)
{
    int64_t sum = 0, most = topics_set_view(found->nodes[longest]).count;
    for (size_t i = 0; i < found->count; i++)
        sum += topics_set_view(found->nodes[i]).count;
    return sum - most <= bounds->subscriptions && most <= bounds->most;
}

int64_t topics_match(struct topics *topics, struct mqtt_text name, const struct topics_bounds *bounds,
                     topics_visit *visit, void *context, uint32_t *work)
{
    struct found found = {.account = topics->account, .capacity = sizeof found.few / sizeof found.few[0]};
    struct rest rest;
    rest.slots = rest.few;
    rest.capacity = rest.joined = 0;
    found.nodes = found.few;
    int64_t nodes;
    pthread_rwlock_rdlock(&topics->lock);
    int64_t visits = find_nodes(topics, name, bounds, &found, &nodes);
    if (visits == 0 && found.count > 0) {
        size_t longest = longest_of(&found);
        if (bounds && !is_within(&found, longest, bounds))
            visits = -E2BIG;
        else if (found.count > 1 && collect_rest(&rest, &found, longest) < 0)
            visits = -ENOMEM;
        else
            visits = visit_all(topics_set_view(found.nodes[longest]), &rest, visit, context);
    }
    pthread_rwlock_unlock(&topics->lock);
    *work += work_of(nodes, rest.joined);
    if (rest.slots && rest.slots != rest.few)
        give(found.account, rest.slots, rest.capacity, sizeof rest.slots[0]);
    give_nodes(&found);
    return visits;
}
