// SPDX-License-Identifier: Apache-2.0
// Who publishes to whom: pairs, fan-in, fan-out, or topics with several on both sides.
//
// Everything here is a pure function of the pattern and a number, so every worker computes the same answer.
// The first clients of a plan are publishers and subscribers, in turn in the ratio of their numbers: so every
// worker has its share of both. Clients after these are idle. Publishers and subscribers have numbers of
// their own, from 0.
//
//     pairs      publisher p is client 2p + 1, subscriber p client 2p; topic p
//     fan-in     a topic for each publisher; each subscriber takes them all, by a wildcard
//     fan-out    one topic; each subscriber takes it
//     topics     publisher p and subscriber s are of the topics p mod N and s mod N
//
//     struct pattern pattern = {.kind = PATTERN_FAN_OUT, .publishers = 2, .subscribers = 500, .topics = 1};
//     pattern_receivers(&pattern, 0)     // 500: deliveries for each message of publisher 0
#ifndef POOLMARK_LOADGEN_PATTERN_H
#define POOLMARK_LOADGEN_PATTERN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum pattern_kind { PATTERN_PAIRS, PATTERN_FAN_IN, PATTERN_FAN_OUT, PATTERN_TOPICS };

struct pattern {
    enum pattern_kind kind;
    int64_t publishers, subscribers;
    int64_t topics; // groups that share messages; 1 for fan-in, whose subscribers take all topics
    int64_t apart;  // not pairs: the last so many subscribers are the last clients, after all others
    int64_t slow;   // of those apart the last so many may be slow readers (fleet.h)
    // Of the part of a rank (pattern_parts.h): the publishers of all parts, which take turns, and those of parts before; 0, 0:
    // it is the whole.
    int64_t turns, before;
};

struct pattern pattern_pairs(int64_t pairs);

// Reads "pairs", "fan-in", "fan-out" or "topics:N" into kind and topics. -EINVAL with the text in `err`.
int pattern_parse(struct pattern *pattern, const char *text, struct err *err)
    __attribute__((warn_unused_result));
const char *pattern_name(const struct pattern *pattern); // "topics" without its number

int64_t pattern_clients(const struct pattern *pattern); // publishers and subscribers

// The publishers, or subscribers, among the first `clients` clients. So the number of the publisher that is client
// c is pattern_publishers_before(c).
int64_t pattern_publishers_before(const struct pattern *pattern, int64_t clients);
int64_t pattern_subscribers_before(const struct pattern *pattern, int64_t clients);
bool pattern_is_publisher(const struct pattern *pattern, int64_t client);
bool pattern_is_subscriber(const struct pattern *pattern, int64_t client);
int64_t pattern_publisher_client(const struct pattern *pattern, int64_t publisher);

int64_t pattern_topic(const struct pattern *pattern, int64_t number);        // of a publisher or a subscriber
int64_t pattern_receivers(const struct pattern *pattern, int64_t publisher); // subscribers of its topic
int64_t pattern_receivers_slow(const struct pattern *pattern, int64_t publisher); // of these, slow readers
// The subscribers of the publisher's topic among those with the numbers `from` to `until` - 1.
int64_t pattern_receivers_among(const struct pattern *pattern, int64_t publisher, int64_t from,
                                int64_t until);
int64_t pattern_first_apart(
    const struct pattern *pattern); // the first client that is apart; if none is, the number of all
int64_t pattern_senders(const struct pattern *pattern, int64_t subscriber); // publishers of its topic
// All (publisher, subscriber) that share messages.
int64_t pattern_streams(const struct pattern *pattern);

#endif
