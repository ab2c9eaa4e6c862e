// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/retained.h"
#include "broker/mqtt/account.h"
#include "broker/mqtt/level_tree.h"
#include "broker/mqtt/message.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct retained {
    pthread_rwlock_t lock;   // guards all below
    struct level_tree *tree; // of topic names; each value is a message with a reference
    int64_t count, bytes;
    int64_t cost; // bytes of the messages, as the account counts them
    // Constant:
    struct account *account;
    int64_t max_messages, max_bytes;
};

int retained_open(struct retained **retained, const struct retained_rules *rules)
{
    struct retained *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    if (level_tree_open(&made->tree, rules->account, ACCOUNT_RETAINED) < 0) {
        free(made);
        return -ENOMEM;
    }
    made->account = rules->account;
    made->max_messages = rules->max_messages ? rules->max_messages : INT64_MAX;
    made->max_bytes = rules->max_bytes ? rules->max_bytes : INT64_MAX;
    pthread_rwlock_init(&made->lock, NULL);
    *retained = made;
    return 0;
}

static void drop_value(void *value)
{
    message_unref(value);
}

void retained_close(struct retained *retained)
{
    if (!retained)
        return;
    level_tree_close(retained->tree, drop_value);
    pthread_rwlock_destroy(&retained->lock);
    free(retained);
}

static int64_t weight(const struct message *message)
{
    return message ? (int64_t)message_bytes(message) : 0;
}

static int64_t cost_of(const struct message *message)
{
    return message ? (int64_t)message_cost(message) : 0;
}

// Puts `message` (NULL: none) at the place of `*value`. 0; -ENOSPC; -ENOMEM: past the share of the account.
static int replace(struct retained *retained, void **value, struct message *message)
{
    const struct message *old = *value;
    int64_t count = retained->count + (message != NULL) - (old != NULL);
    int64_t bytes = retained->bytes + weight(message) - weight(old);
    bool grows = count > retained->count || bytes > retained->bytes;
    if (grows && (count > retained->max_messages || bytes > retained->max_bytes))
        return -ENOSPC;
    int64_t cost = retained->cost + cost_of(message) - cost_of(old);
    if (grows && !account_may_retain(retained->account, cost))
        return -ENOMEM;
    *value = message ? message_ref(message) : NULL;
    retained->count = count;
    retained->bytes = bytes;
    retained->cost = cost;
    return 0;
}

int retained_set(struct retained *retained, struct mqtt_text name, struct message *message)
{
    struct message *old = NULL;
    int code = message ? -ENOMEM : 0;
    pthread_rwlock_wrlock(&retained->lock);
    struct level_node *node =
        message ? level_tree_make(retained->tree, name) : level_tree_find(retained->tree, name);
    if (node) {
        void **value = level_node_value(node);
        struct message *before = *value;
        code = replace(retained, value, message);
        old = code == 0 ? before : NULL;
        level_tree_prune(retained->tree, node);
    }
    pthread_rwlock_unlock(&retained->lock);
    message_unref(old); // after the unlock, because it may put memory back to a pool
    return code;
}

struct match {
    retained_visit *visit;
    void *context;
    int64_t count;
};

static void visit_node(void *context, struct level_node *node)
{
    struct match *match = context;
    match->visit(match->context, *level_node_value(node));
    match->count++;
}

int64_t retained_match(struct retained *retained, struct mqtt_text filter, retained_visit *visit,
                       void *context)
{
    struct match match = {visit, context, 0};
    pthread_rwlock_rdlock(&retained->lock);
    level_tree_match_names(retained->tree, filter, visit_node, &match);
    pthread_rwlock_unlock(&retained->lock);
    return match.count;
}

struct message *retained_next(struct retained *retained, struct mqtt_text filter, struct level_cursor *cursor,
                              int64_t most, int64_t *looked)
{
    pthread_rwlock_rdlock(&retained->lock);
    struct level_node *node = level_tree_next_name(retained->tree, filter, cursor, most, looked);
    struct message *message = node ? message_ref(*level_node_value(node)) : NULL;
    pthread_rwlock_unlock(&retained->lock);
    return message;
}

int64_t retained_count(struct retained *retained)
{
    pthread_rwlock_rdlock(&retained->lock);
    int64_t count = retained->count;
    pthread_rwlock_unlock(&retained->lock);
    return count;
}

int64_t retained_tree_bytes(struct retained *retained)
{
    pthread_rwlock_rdlock(&retained->lock);
    int64_t bytes = (int64_t)account_heap_bytes(sizeof *retained) + level_tree_bytes(retained->tree);
    pthread_rwlock_unlock(&retained->lock);
    return bytes;
}

static void count_node(void *context, struct level_node *node)
{
    int64_t *sums = context;
    sums[0]++;
    sums[1] += weight(*level_node_value(node));
}

bool retained_is_valid(struct retained *retained)
{
    int64_t sums[2] = {0, 0};
    pthread_rwlock_rdlock(&retained->lock);
    level_tree_each(retained->tree, count_node, sums);
    bool valid =
        level_tree_is_valid(retained->tree) && sums[0] == retained->count && sums[1] == retained->bytes;
    pthread_rwlock_unlock(&retained->lock);
    return valid;
}
