// SPDX-License-Identifier: Apache-2.0
// The subscriptions of all sessions, found by topic name (MQTT 3.1.1, section 4.7).
//
// Subscriptions are in a tree of topic levels (broker/mqtt/level_tree.h), one node per level. So a match
// follows the levels of a name and does not visit every subscription. A subscriber embeds a struct
// topics_subscriber, which has the tree of its subscriptions (topics_own.h). So a subscriber needs no copy of its
// filters, and leaves in one call. A subscribe takes time by the logarithm of their number.
//
// Threads: any thread may call any function at any time. One rwlock guards the tree and what all
// subscribers have. Matching takes it for reading, subscribing and leaving for writing. A waiting writer goes
// before new readers. After topics_leave has returned, no match uses that subscriber. A visitor runs under
// the read lock, so it must not call into this module.
//
// Memory: about 120 bytes for a subscription to a topic of its own (a node of 64 with a last level of up to
// 14 characters, the subscription of 48, its share of a hash), 56 for one more subscription to a filter that
// others have.
//
//     topics_subscribe(topics, &session->subscriber, filter, qos);
//     topics_match(topics, publish.topic, NULL, deliver, &delivery, &work);   // deliver(&delivery, subscriber, qos)
//     topics_leave(topics, &session->subscriber);
#ifndef POOLMARK_BROKER_MQTT_TOPICS_H
#define POOLMARK_BROKER_MQTT_TOPICS_H

#include "wire/mqtt.h"

struct topics;
struct account; // broker/mqtt/account.h
struct topics_subscription;

// Starts as zero. Must not move while it has subscriptions. The lock of the topics guards it.
struct topics_subscriber {
    struct topics_subscription *root; // NULL: it has none
};

int topics_open(struct topics **topics, struct account *account)
    __attribute__((warn_unused_result));  // 0 or -ENOMEM
void topics_close(struct topics *topics); // subscribers may be left; they must not be used with it again

// Subscribes to `filter`, a valid topic filter (mqtt_topic_filter_check). A repeated subscription replaces
// the QoS [MQTT-3.8.4-3]. 1: new; 0: replaced; -ENOMEM: nothing changed.
int topics_subscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter,
                     uint8_t qos) __attribute__((warn_unused_result));

// Ends the subscription to exactly that filter [MQTT-3.10.4-1]. false: there was none.
bool topics_unsubscribe(struct topics *topics, struct topics_subscriber *subscriber, struct mqtt_text filter);

// Ends all subscriptions of a subscriber.
void topics_leave(struct topics *topics, struct topics_subscriber *subscriber);
// Ends up to `most` of them. true: none is left.
bool topics_leave_some(struct topics *topics, struct topics_subscriber *subscriber, uint32_t most);

// Calls `visit` once for each subscriber with a filter that matches `name` (a valid topic name), with the
// highest QoS of its matching filters [MQTT-3.3.5-1]. Returns the number of calls; -ENOMEM: no call; -E2BIG: no
// call, because the search is larger than `bounds` (NULL: none). Adds the work of the search to `work` (turn.h).
struct topics_bounds {
    int64_t nodes;         // looked at
    int64_t subscriptions; // that match, beside those of the filter that has most
    int64_t most;          // of one filter
};
typedef void topics_visit(void *context, struct topics_subscriber *subscriber, uint8_t qos);
int64_t topics_match(struct topics *topics, struct mqtt_text name, const struct topics_bounds *bounds,
                     topics_visit *visit, void *context, uint32_t *work);

// The same in portions, while subscriptions come and go: who is subscribed from the first to the last is visited, once for each
// of its filters that match, and seldom twice. `name` must outlive the search. NULL: no memory.
struct topics_search *topics_search_new(struct topics *topics, struct mqtt_text name);
void topics_search_free(struct topics_search *search); // NULL is allowed

enum topics_progress { TOPICS_MORE, TOPICS_DONE, TOPICS_LOST }; // lost: there was no memory to go on
// Goes on for about `most` units of work, which it adds to `work`.
enum topics_progress topics_search_some(struct topics_search *search, uint32_t most, topics_visit *visit,
                                        void *context, uint32_t *work) __attribute__((warn_unused_result));

// The number of all subscriptions, and of those of one subscriber.
int64_t topics_count(struct topics *topics);
int64_t topics_subscriber_count(struct topics *topics, const struct topics_subscriber *subscriber);
int64_t
topics_bytes(struct topics *topics); // heap bytes of subscriptions, their sets, and the tree of filters
bool topics_is_valid(struct topics *topics); // checks the invariants; for checked builds and tests

#endif
