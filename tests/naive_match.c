// SPDX-License-Identifier: Apache-2.0
#include "tests/naive_match.h"

#include <string.h>

static bool levels_match(const char *filter, const char *name)
{
    if (strcmp(filter, "#") == 0)
        return true;
    size_t filter_level = strcspn(filter, "/"), name_level = strcspn(name, "/");
    bool plus = filter_level == 1 && filter[0] == '+';
    if (!plus && (filter_level != name_level || memcmp(filter, name, name_level) != 0))
        return false;
    bool filter_ends = filter[filter_level] == 0, name_ends = name[name_level] == 0;
    if (name_ends)
        return filter_ends || strcmp(filter + filter_level, "/#") == 0;
    return !filter_ends && levels_match(filter + filter_level + 1, name + name_level + 1);
}

bool naive_match(const char *filter, const char *name)
{
    if (name[0] == '$' && (filter[0] == '+' || filter[0] == '#'))
        return false;
    return levels_match(filter, name);
}

uint32_t random_next(uint64_t *seed, uint32_t below) // splitmix64
{
    uint64_t value = *seed += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((value ^ value >> 31) % below);
}

void random_topic(uint64_t *seed, bool wildcards, char topic[static RANDOM_TOPIC_BYTES])
{
    static const char *const levels[] = {"a", "b", "", "$x", "long-level-name-past-13", "+", "#"};
    uint32_t count = 1 + random_next(seed, 4);
    topic[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *level = levels[random_next(seed, wildcards ? 7 : 5)];
        if (strcmp(level, "long-level-name-past-13") == 0 && i > 1)
            level = "b"; // keeps the whole in its bounds
        strcat(topic, i ? "/" : "");
        strcat(topic, level);
        if (strcmp(level, "#") == 0)
            break;
    }
    if (topic[0] == 0)
        strcpy(topic, "/"); // a topic has a character at least
}
