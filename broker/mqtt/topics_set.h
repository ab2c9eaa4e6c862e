// SPDX-License-Identifier: Apache-2.0
// A subscription, and the set of subscriptions of one filter. For topics.c and topics_match.c. The lock of
// the topics guards all of it.
//
// Nearly every filter has one subscription; the value of its node points to it directly. Two or more are in a
// set, an unordered array; the lowest bit of the value marks it. Each subscription stores its index there, so
// removal takes constant time.
#ifndef POOLMARK_BROKER_MQTT_TOPICS_SET_H
#define POOLMARK_BROKER_MQTT_TOPICS_SET_H

#include "broker/mqtt/level_tree.h"

struct topics_subscriber;

struct topics_subscription { // 40 bytes, which fill a glibc chunk of 48
    struct level_node *node;
    struct topics_subscriber *subscriber;
    struct topics_subscription *left, *right; // in the tree of the subscriber (topics_own.h)
    uint32_t index;                           // in the set of the node
    uint8_t qos;
};

// The subscriptions of a node, whether one or a set. Valid until one is added or removed.
struct topics_view {
    struct topics_subscription *one;          // when there is no array
    struct topics_subscription *const *items; // NULL: none or one
    uint32_t count;
};

struct topics_view topics_set_view(struct level_node *node);

static inline struct topics_subscription *topics_view_at(const struct topics_view *view, uint32_t index)
{
    return view->items ? view->items[index] : view->one;
}

// 0, or -ENOMEM with nothing changed. After the last removal the node's value is NULL.
int topics_set_add(struct level_node *node, struct topics_subscription *subscription)
    __attribute__((warn_unused_result));
void topics_set_remove(struct level_node *node, struct topics_subscription *subscription);

size_t topics_set_bytes(
    struct level_node *node);      // heap bytes of the set, without its subscriptions; 0: there is none
void topics_set_free(void *value); // frees a node's value with its subscriptions
bool topics_set_is_valid(struct level_node *node);

#endif
