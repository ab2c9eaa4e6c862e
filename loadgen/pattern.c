// SPDX-License-Identifier: Apache-2.0
#include "loadgen/pattern.h"

#include "base/units.h"

#include <errno.h>
#include <string.h>

enum { TOPICS_MAX = 1000000 };

struct pattern pattern_pairs(int64_t pairs)
{
    return (struct pattern){
        .kind = PATTERN_PAIRS, .publishers = pairs, .subscribers = pairs, .topics = pairs};
}

static const char *const names[] = {[PATTERN_PAIRS] = "pairs",
                                    [PATTERN_FAN_IN] = "fan-in",
                                    [PATTERN_FAN_OUT] = "fan-out",
                                    [PATTERN_TOPICS] = "topics"};

const char *pattern_name(const struct pattern *pattern)
{
    return names[pattern->kind];
}

int pattern_parse(struct pattern *pattern, const char *text, struct err *err)
{
    for (int kind = PATTERN_PAIRS; kind < PATTERN_TOPICS; kind++)
        if (strcmp(text, names[kind]) == 0) {
            *pattern = (struct pattern){.kind = (enum pattern_kind)kind, .topics = 1};
            return 0;
        }
    int64_t topics;
    if (strncmp(text, "topics:", 7) == 0 && units_parse_count(text + 7, &topics) == 0 && topics >= 1 &&
        topics <= TOPICS_MAX) {
        *pattern = (struct pattern){.kind = PATTERN_TOPICS, .topics = topics};
        return 0;
    }
    return err_set(err, -EINVAL, "pairs, fan-in, fan-out or topics:N, N from 1 to %d", TOPICS_MAX);
}

int64_t pattern_clients(const struct pattern *pattern)
{
    return pattern->publishers + pattern->subscribers;
}

int64_t pattern_first_apart(const struct pattern *pattern)
{
    return pattern_clients(pattern) - pattern->apart;
}

int64_t pattern_publishers_before(const struct pattern *pattern, int64_t clients)
{
    int64_t all = pattern_first_apart(pattern);
    if (clients >= all)
        return pattern->publishers;
    return pattern->kind == PATTERN_PAIRS ? clients / 2 : clients * pattern->publishers / all;
}

int64_t pattern_subscribers_before(const struct pattern *pattern, int64_t clients)
{
    int64_t all = pattern_clients(pattern);
    return (clients < all ? clients : all) - pattern_publishers_before(pattern, clients);
}

bool pattern_is_publisher(const struct pattern *pattern, int64_t client)
{
    return pattern_publishers_before(pattern, client + 1) > pattern_publishers_before(pattern, client);
}

bool pattern_is_subscriber(const struct pattern *pattern, int64_t client)
{
    return client < pattern_clients(pattern) && !pattern_is_publisher(pattern, client);
}

int64_t pattern_publisher_client(const struct pattern *pattern, int64_t publisher)
{
    if (pattern->kind == PATTERN_PAIRS)
        return 2 * publisher + 1;
    // The first client c for which (c + 1) x publishers / all reaches publisher + 1.
    int64_t all = pattern_first_apart(pattern);
    return ((publisher + 1) * all + pattern->publishers - 1) / pattern->publishers - 1;
}

int64_t pattern_topic(const struct pattern *pattern, int64_t number)
{
    return number % pattern->topics;
}

// How many of the numbers 0 .. count - 1 are of the topic.
static int64_t of_topic(int64_t count, int64_t topics, int64_t topic)
{
    return count / topics + (topic < count % topics);
}

int64_t pattern_receivers(const struct pattern *pattern, int64_t publisher)
{
    return of_topic(pattern->subscribers, pattern->topics, pattern_topic(pattern, publisher));
}

int64_t pattern_receivers_among(const struct pattern *pattern, int64_t publisher, int64_t from, int64_t until)
{
    int64_t topic = pattern_topic(pattern, publisher);
    return of_topic(until, pattern->topics, topic) - of_topic(from, pattern->topics, topic);
}

int64_t pattern_receivers_slow(const struct pattern *pattern, int64_t publisher)
{
    return pattern_receivers_among(pattern, publisher, pattern->subscribers - pattern->slow,
                                   pattern->subscribers);
}

int64_t pattern_senders(const struct pattern *pattern, int64_t subscriber)
{
    return of_topic(pattern->publishers, pattern->topics, pattern_topic(pattern, subscriber));
}

int64_t pattern_streams(const struct pattern *pattern)
{
    int64_t streams = 0;
    for (int64_t topic = 0; topic < pattern->topics; topic++)
        streams += of_topic(pattern->publishers, pattern->topics, topic) *
                   of_topic(pattern->subscribers, pattern->topics, topic);
    return streams;
}
