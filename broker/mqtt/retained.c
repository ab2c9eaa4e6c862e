// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/retained.h"
#include "broker/mqtt/level_tree.h"
#include "broker/mqtt/message.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct retained {
    pthread_rwlock_t lock;   // guards all below
    struct level_tree *tree; // of topic names; each value is a message with a reference
    int64_t count;
};

int retained_open(struct retained **retained, struct account *account)
{
    struct retained *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    if (level_tree_open(&made->tree, account, ACCOUNT_RETAINED) < 0) {
        free(made);
        return -ENOMEM;
    }
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

int retained_set(struct retained *retained, struct mqtt_text name, struct message *message)
{
    struct message *old = NULL;
    pthread_rwlock_wrlock(&retained->lock);
    struct level_node *node =
        message ? level_tree_make(retained->tree, name) : level_tree_find(retained->tree, name);
    if (node) {
        void **value = level_node_value(node);
        old = *value;
        *value = message ? message_ref(message) : NULL;
        retained->count += (message != NULL) - (old != NULL);
        level_tree_prune(retained->tree, node);
    }
    pthread_rwlock_unlock(&retained->lock);
    message_unref(old); // after the unlock, because it may put memory back to a pool
    return message && !node ? -ENOMEM : 0;
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

bool retained_has(struct retained *retained, const struct message *message)
{
    pthread_rwlock_rdlock(&retained->lock);
    struct level_node *node = level_tree_find(retained->tree, message_topic(message));
    bool has = node && *level_node_value(node) == message;
    pthread_rwlock_unlock(&retained->lock);
    return has;
}

int64_t retained_count(struct retained *retained)
{
    pthread_rwlock_rdlock(&retained->lock);
    int64_t count = retained->count;
    pthread_rwlock_unlock(&retained->lock);
    return count;
}

static void count_node(void *context, struct level_node *node)
{
    (void)node;
    ++*(int64_t *)context;
}

bool retained_is_valid(struct retained *retained)
{
    int64_t count = 0;
    pthread_rwlock_rdlock(&retained->lock);
    level_tree_each(retained->tree, count_node, &count);
    bool valid = level_tree_is_valid(retained->tree) && count == retained->count;
    pthread_rwlock_unlock(&retained->lock);
    return valid;
}
