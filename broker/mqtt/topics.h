// SPDX-License-Identifier: Apache-2.0
// The subscriptions of all sessions, found by topic name (MQTT 3.1.1, section 4.7).
//
// Subscriptions hang in a tree of topic levels (broker/mqtt/level_tree.h), one node a level, so that a match
// looks at one level after the other and not at every subscription. A subscriber is whatever embeds a struct
// topics_subscriber; its subscriptions are chained from there, so that it needs to remember no filter and
// leaves in one call.
//
// Threads: any thread may call anything at any time. One rwlock guards the whole tree and the chain of every
// subscriber: matching takes it for reading, subscribing and leaving for writing, and a waiting writer goes
// before new readers. When topics_leave has returned, no match holds or will hand out that subscriber. A
// visitor runs under the read lock: it must not call into this module.
//
// Memory: about 120 bytes for a subscription to a topic of its own (a node of 64 with a last level of up to
// 14 characters, the subscription of 48, its share of a hash), 56 for one more subscription to a filter that
// others have.
//
//     topics_subscribe(topics, &session->subscriber, filter, qos);
//     topics_match(topics, publish.topic, deliver, &delivery);   // deliver(&delivery, subscriber, qos)
//     topics_leave(topics, &session->subscriber);
#ifndef POOLMARK_BROKER_MQTT_TOPICS_H
#define POOLMARK_BROKER_MQTT_TOPICS_H

#include "wire/mqtt.h"

struct topics;
struct account; // broker/mqtt/account.h
struct topics_subscription;

struct topics_subscriber { // zeroed to begin with; stays where it is while it subscribes; guarded by the
                           // topics' lock
    struct topics_subscription *first;
};

int topics_open(struct topics **topics, struct account *account)
    __attribute__((warn_unused_result));  // 0 or -ENOMEM
void topics_close(struct topics *topics); // subscribers may still be in; they must not be used with it again

// Subscribes to `filter`, a valid topic filter (mqtt_topic_filter_check); one more time replaces the QoS
// [MQTT-3.8.4-3]. 1: new, 0: replaced, -ENOMEM: nothing changed.
int topics_subscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter,
                     uint8_t qos) __attribute__((warn_unused_result));

// true: it was subscribed to exactly that filter, and is no more [MQTT-3.10.4-1].
bool topics_unsubscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter);

// Ends all subscriptions of a subscriber.
void topics_leave(struct topics *topics, struct topics_subscriber *subscriber);

// Calls `visit` once for each subscriber with a filter that matches `name` (a valid topic name), with the
// highest QoS that its matching filters ask for [MQTT-3.3.5-1]. Returns how many there were; -ENOMEM: none
// was called.
typedef void topics_visit(void *context, struct topics_subscriber *subscriber, uint8_t qos);
int64_t topics_match(struct topics *topics, struct mqtt_text name, topics_visit *visit, void *context);

int64_t topics_count(struct topics *topics); // subscriptions
int64_t topics_subscriber_count(struct topics *topics,
                                const struct topics_subscriber *subscriber); // of that one
bool topics_is_valid(struct topics *topics); // invariants; for checked builds and tests

#endif
