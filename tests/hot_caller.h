// SPDX-License-Identifier: Apache-2.0
// One caller of a hot pool, in a world of its own (tests/hot_world.h). For tests of what one caller sees:
//
//     caller_open(&config);
//     struct hot_connection *connection = caller_take("a");
//     caller_give(connection);
#ifndef POOLMARK_TESTS_HOT_CALLER_H
#define POOLMARK_TESTS_HOT_CALLER_H

#include "tests/hot_world.h"

// Of the running test: made by caller_set_up, gone after caller_tear_down, which closes the pool.
extern struct caller {
    struct hot_world world;
    struct hot_pool *pool;
} caller;

int caller_set_up(void **state);
int caller_tear_down(void **state);
#define CALLER_TEST(name) cmocka_unit_test_setup_teardown(name, caller_set_up, caller_tear_down)

void caller_open(const struct hot_config *config);
struct hot_connection *caller_take(const char *host); // waits for ever; uses it once
void caller_take_many(struct hot_connection *connections[], int count, const char *host);
void caller_give(struct hot_connection *connection);
void caller_give_many(struct hot_connection *connections[], int count);
int caller_try(const char *host); // waits not at all; gives it back; the code
struct hot_stats caller_stats(void);

#endif
