// SPDX-License-Identifier: Apache-2.0
// Section 4.7 in its plainest form, for checking the trees against it; and random topics of few letters, so
// that they meet often.
#ifndef POOLMARK_TESTS_NAIVE_MATCH_H
#define POOLMARK_TESTS_NAIVE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { RANDOM_TOPIC_BYTES = 64 };

bool naive_match(const char *filter, const char *name);

uint32_t random_next(uint64_t *seed, uint32_t below); // 0 to below - 1
void random_topic(uint64_t *seed, bool wildcards, char topic[static RANDOM_TOPIC_BYTES]);

#endif
