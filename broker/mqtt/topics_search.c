// SPDX-License-Identifier: Apache-2.0
// A search in portions (topics.h). Its place is the trail to a node, and the number of subscriptions of that node that were not
// visited: those with the lowest indexes. A set fills the gap of a subscription that leaves with its last one, which was
// visited. So none is left out, and that one is visited again when the gap is below the place.
#include "broker/mqtt/level_filters.h"
#include "broker/mqtt/topics.h"
#include "broker/mqtt/topics_state.h"

#include <stdlib.h>

enum { BYTES_PER_WORK = 512 };

struct topics_search {
    struct topics *topics;
    struct mqtt_text name;
    size_t bytes;
    uint32_t left;            // subscriptions of the node at the trail
    struct level_trail trail; // must be the last
};

struct topics_search *topics_search_new(struct topics *topics, struct mqtt_text name)
{
    size_t bytes = offsetof(struct topics_search, trail) + level_trail_bytes(name);
    if (!account_take(topics->account, ACCOUNT_SUBSCRIPTIONS, account_heap_bytes(bytes)))
        return NULL;
    struct topics_search *search = calloc(1, bytes);
    if (!search) {
        account_give(topics->account, ACCOUNT_SUBSCRIPTIONS, account_heap_bytes(bytes));
        return NULL;
    }
    search->topics = topics;
    search->name = name;
    search->bytes = bytes;
    return search;
}

void topics_search_free(struct topics_search *search)
{
    if (!search)
        return;
    account_give(search->topics->account, ACCOUNT_SUBSCRIPTIONS, account_heap_bytes(search->bytes));
    free(search);
}

// Visits up to `most` of those that are left, and returns their number.
static uint32_t visit_some(struct topics_search *search, struct level_node *node, uint32_t most,
                           topics_visit *visit, void *context)
{
    struct topics_view view = topics_set_view(node);
    uint32_t left = search->left < view.count ? search->left : view.count, done = 0;
    for (; left > 0 && done < most; done++) {
        const struct topics_subscription *one = topics_view_at(&view, --left);
        visit(context, one->subscriber, one->qos);
    }
    search->left = left;
    return done;
}

enum topics_progress topics_search_some(struct topics_search *search, uint32_t most, topics_visit *visit,
                                        void *context, uint32_t *work)
{
    struct level_search place;
    uint32_t done = 1 + (uint32_t)search->name.bytes / BYTES_PER_WORK; // it is read anew
    pthread_rwlock_rdlock(&search->topics->lock);
    struct level_node *node = level_search_resume(&place, search->topics->tree, search->name, &search->trail);
    if (!node)
        search->left = 0;
    while (done < most && !place.is_over) {
        if (search->left > 0) {
            done += visit_some(search, node, most - done, visit, context);
            continue;
        }
        int64_t before = place.looked;
        node = level_search_next(&place, most - done);
        done += (uint32_t)(place.looked - before);
        search->left = node ? topics_set_view(node).count : 0;
    }
    level_search_keep(&place, &search->trail);
    bool is_over = place.is_over, no_memory = place.name.no_memory;
    level_search_end(&place);
    pthread_rwlock_unlock(&search->topics->lock);
    *work += done;
    return no_memory ? TOPICS_LOST : is_over ? TOPICS_DONE : TOPICS_MORE;
}
