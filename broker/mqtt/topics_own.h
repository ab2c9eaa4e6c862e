// SPDX-License-Identifier: Apache-2.0
// The subscriptions of one subscriber, found by the node of their filter. For topics.c; the lock of the topics guards them.
//
// A treap (Aragon and Seidel 1989): a search tree by the address of the node, and a heap by a hash of it. So its depth is that of
// a tree that was filled in random order, about three times the logarithm at most, whatever order the filters come in. A
// list would do for the few filters of a usual client. But a client with a hundred thousand filters that subscribes again to one
// of a hundred thousand others would walk over all of either.
#ifndef POOLMARK_BROKER_MQTT_TOPICS_OWN_H
#define POOLMARK_BROKER_MQTT_TOPICS_OWN_H

#include "broker/mqtt/topics_set.h"

// The subscription to that filter; NULL: there is none.
struct topics_subscription *topics_own_find(const struct topics_subscriber *subscriber,
                                            const struct level_node *node);
void topics_own_add(struct topics_subscription *made);   // to its subscriber, who has none to its node
void topics_own_remove(struct topics_subscription *one); // from its subscriber, who has it
int64_t topics_own_count(const struct topics_subscriber *subscriber); // counts them one by one

#endif
