// SPDX-License-Identifier: Apache-2.0
// A subscription, and the subscriptions of one filter. For topics.c and topics_match.c; all of it is guarded
// by the lock of the topics.
//
// Nearly every filter has one subscription, which the value of its node points to directly. Two and more are
// in a set, an array in no order, and the value's lowest bit says so. Each subscription knows its place
// there, so that one of a million leaves as quickly as one of two.
#ifndef POOLMARK_BROKER_MQTT_TOPICS_SET_H
#define POOLMARK_BROKER_MQTT_TOPICS_SET_H

#include "broker/mqtt/level_tree.h"

struct topics_subscriber;

struct topics_subscription { // 40 bytes: what glibc's 48-byte chunk holds
    struct level_node *node;
    struct topics_subscriber *subscriber;
    struct topics_subscription *next, **link; // in the subscriber's chain; `link` points at what points here
    uint32_t index;                           // in the set of the node
    uint8_t qos;
};

// The subscriptions of a node, however they are kept; valid until one is added or removed.
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

// -ENOMEM: nothing changed. The node's value is NULL when the last one was removed.
int topics_set_add(struct level_node *node, struct topics_subscription *subscription)
    __attribute__((warn_unused_result));
void topics_set_remove(struct level_node *node, struct topics_subscription *subscription);

void topics_set_free(void *value); // a node's value, with the subscriptions in it
bool topics_set_is_valid(struct level_node *node);

#endif
