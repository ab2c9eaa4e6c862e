// SPDX-License-Identifier: Apache-2.0
// The tree of topic levels: making and pruning paths, many children coming and going, and very deep topics.
#include "broker/mqtt/level_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char some_value;

static struct level_tree *tree_open(void)
{
    struct level_tree *tree = NULL;
    assert_int_equal(level_tree_open(&tree, NULL, ACCOUNT_SUBSCRIPTIONS), 0);
    return tree;
}

static struct level_node *put(struct level_tree *tree, const char *path)
{
    struct level_node *node = level_tree_make(tree, mqtt_text_of(path));
    assert_non_null(node);
    *level_node_value(node) = &some_value;
    return node;
}

static void take(struct level_tree *tree, const char *path)
{
    struct level_node *node = level_tree_find(tree, mqtt_text_of(path));
    assert_non_null(node);
    *level_node_value(node) = NULL;
    level_tree_prune(tree, node);
}

static void count_visit(void *context, struct level_node *node)
{
    assert_non_null(*level_node_value(node));
    ++*(int *)context;
}

static int filters(struct level_tree *tree, const char *name)
{
    int count = 0;
    level_tree_match_filters(tree, mqtt_text_of(name), count_visit, &count);
    return count;
}

static int names(struct level_tree *tree, const char *filter)
{
    int count = 0;
    level_tree_match_names(tree, mqtt_text_of(filter), count_visit, &count);
    return count;
}

static void test_a_path_is_a_node_for_each_level(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    struct level_node *node = put(tree, "a/b/c");
    assert_int_equal(level_tree_count(tree), 3);
    assert_ptr_equal(level_tree_find(tree, mqtt_text_of("a/b/c")), node);
    assert_ptr_equal(put(tree, "a/b/c"), node);
    assert_null(level_tree_find(tree, mqtt_text_of("a/b/d")));
    assert_null(level_tree_find(tree, mqtt_text_of("a/b/c/")));
    assert_null(*level_node_value(level_tree_find(tree, mqtt_text_of("a/b"))));
    assert_true(level_tree_is_valid(tree));
    level_tree_close(tree, NULL);
}

static void test_empty_levels_are_levels(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    put(tree, "/");
    put(tree, "/a");
    put(tree, "a/");
    put(tree, "a");
    assert_int_equal(level_tree_count(tree), 5); // "", "/", "/a", "a", "a/"
    assert_true(level_tree_is_valid(tree));
    take(tree, "/");
    assert_null(level_tree_find(tree, mqtt_text_of("/")));
    assert_non_null(level_tree_find(tree, mqtt_text_of("/a")));
    level_tree_close(tree, NULL);
}

static void test_pruning_frees_what_leads_nowhere_and_no_more(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    put(tree, "a/b/c/d");
    put(tree, "a/b");
    take(tree, "a/b/c/d");
    assert_int_equal(level_tree_count(tree), 2);
    put(tree, "a/b/x");
    take(tree, "a/b"); // still has a child
    assert_int_equal(level_tree_count(tree), 3);
    take(tree, "a/b/x");
    assert_int_equal(level_tree_count(tree), 0);
    assert_true(level_tree_is_valid(tree));
    level_tree_close(tree, NULL);
}

static void drop_count(void *value)
{
    ++*(int *)value;
}

static void test_closing_drops_each_value_once(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    int dropped = 0;
    static const char *const paths[] = {"a", "a/b", "a/b/c", "x/y/z", "/", "$SYS/x"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        *level_node_value(put(tree, paths[i])) = &dropped;
    level_tree_close(tree, drop_count);
    assert_int_equal(dropped, 6);
    level_tree_close(NULL, NULL);
}

// Many children come, and nearly all go, some come back: what is left holds no table of what was there. Otherwise each further
// parent would keep one that nobody counts, and each walk over its children would cross it.
static void test_the_account_has_the_tables_whatever_comes_and_goes(void **state)
{
    (void)state;
    enum { MOST = 20000, SLACK = 128 }; // a table that is being moved
    static const int counts[] = {9, 5, 12, 6, 40, 1, 300, 120, 260, 3, MOST, MOST / 2, MOST * 3 / 4, 1000, 1};
    struct account account;
    struct level_tree *tree;
    account_open(&account, 0);
    assert_int_equal(level_tree_open(&tree, &account, ACCOUNT_RETAINED), 0);
    int64_t own = level_tree_bytes(tree);
    char path[32];
    for (size_t i = 0, there = 0; i < sizeof counts / sizeof counts[0]; i++)
        while (there != (size_t)counts[i]) {
            bool comes = there < (size_t)counts[i];
            snprintf(path, sizeof path, "p/%zu", comes ? there : there - 1);
            if (comes)
                put(tree, path);
            else
                take(tree, path);
            there = comes ? there + 1 : there - 1;
            assert_true(level_tree_bytes(tree) - own <= account_sum(&account) + SLACK);
            if (there % 4096 == 0 || there < 10)
                assert_true(level_tree_is_valid(tree));
        }
    assert_int_equal(names(tree, "#"), 1);
    level_tree_close(tree, NULL);
    assert_int_equal(account_sum(&account), 0);
}

// 5 000 children come and go in other orders, so that tables grow and shrink with moves under way; after
// each change everything that should be there is found.
static void test_children_are_found_while_tables_grow_and_shrink(void **state)
{
    (void)state;
    enum { MANY = 5000, STEP = 7919 }; // a prime that divides MANY not: each is met once
    struct level_tree *tree = tree_open();
    char path[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "clients/%d", i * STEP % MANY);
        put(tree, path);
        if (i % 1000 == 0)
            assert_true(level_tree_is_valid(tree));
        if (i % 97 == 0)
            assert_int_equal(names(tree, "clients/+"), i + 1);
    }
    assert_int_equal(names(tree, "#"), MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "clients/%d", i);
        take(tree, path);
        assert_null(level_tree_find(tree, mqtt_text_of(path)));
        if (i % 1000 == 0)
            assert_true(level_tree_is_valid(tree));
        if (i % 97 == 0)
            assert_int_equal(names(tree, "clients/#"), MANY - 1 - i);
    }
    assert_int_equal(level_tree_count(tree), 0);
    level_tree_close(tree, NULL);
}

static void test_the_deepest_topic_there_can_be_is_made_matched_and_closed(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    char *path = malloc(MQTT_TEXT_MAX + 1), *pluses = malloc(MQTT_TEXT_MAX + 1);
    assert_true(path && pluses);
    memset(path, '/', MQTT_TEXT_MAX);
    path[MQTT_TEXT_MAX] = 0;
    for (int i = 0; i < MQTT_TEXT_MAX; i++)
        pluses[i] = i % 2 ? '/' : '+'; // half as many levels
    pluses[MQTT_TEXT_MAX] = 0;
    put(tree, path);
    assert_int_equal(level_tree_count(tree), MQTT_TEXT_MAX + 1);
    assert_int_equal(filters(tree, path), 1);
    assert_int_equal(names(tree, path), 1);
    assert_int_equal(names(tree, "#"), 1);
    put(tree, pluses);
    assert_int_equal(filters(tree, path), 1);
    path[MQTT_TEXT_MAX / 2] = 0; // "///..." with as many levels as there are pluses
    assert_int_equal(filters(tree, path), 1);
    assert_int_equal(names(tree, pluses), 1); // itself
    level_tree_close(tree, NULL);
    free(path);
    free(pluses);
}

static void test_nothing_matches_in_an_empty_tree(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    assert_int_equal(filters(tree, "a/b"), 0);
    assert_int_equal(names(tree, "#"), 0);
    assert_int_equal(names(tree, "+"), 0);
    assert_true(level_tree_is_valid(tree));
    level_tree_close(tree, NULL);
}

static void test_levels_that_only_begin_alike_are_different(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    put(tree, "sport");
    put(tree, "sports");
    put(tree, "spor");
    put(tree, "sport/");
    assert_int_equal(filters(tree, "sport"), 1);
    assert_int_equal(filters(tree, "sport/"), 1);
    assert_int_equal(filters(tree, "sp"), 0);
    assert_int_equal(names(tree, "sport/#"), 2);
    level_tree_close(tree, NULL);
}

// Visits the names that match, `most` nodes at a time, and counts each in `seen` by the number at its end.
static int64_t next_names(struct level_tree *tree, const char *filter, struct level_cursor *cursor,
                          int64_t most, int *seen)
{
    int64_t looked = 0;
    struct level_node *node = level_tree_next_name(tree, mqtt_text_of(filter), cursor, most, &looked);
    if (node)
        seen[*(int *)*level_node_value(node)]++;
    return looked;
}

static int numbers[20000];

static void put_number(struct level_tree *tree, int number)
{
    char path[32];
    snprintf(path, sizeof path, number % 7 ? "a/%d/x" : "a/%d", number);
    struct level_node *node = level_tree_make(tree, mqtt_text_of(path));
    assert_non_null(node);
    numbers[number] = number;
    *level_node_value(node) = &numbers[number];
}

static void take_number(struct level_tree *tree, int number)
{
    char path[32];
    snprintf(path, sizeof path, number % 7 ? "a/%d/x" : "a/%d", number);
    take(tree, path);
}

static void test_a_search_in_portions_finds_what_a_whole_one_finds(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static const char *const wanted[] = {"#",     "a/#",  "a/+",    "a/+/x", "a/+/#",
                                         "+/+/+", "a/14", "a/15/x", "b/#",   "+"};
    struct level_tree *tree = tree_open();
    for (int i = 0; i < MANY; i++)
        put_number(tree, i);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        for (int64_t most = 1; most <= 1000; most *= 10) {
            struct level_cursor cursor = {.path = NULL};
            int seen[MANY] = {0}, count = 0;
            while (!cursor.is_done)
                assert_in_range(next_names(tree, wanted[i], &cursor, most, seen), 1, 2 * most + 8);
            for (int k = 0; k < MANY; k++) {
                assert_in_range(seen[k], 0, 1);
                count += seen[k];
            }
            assert_int_equal(count, names(tree, wanted[i]));
            assert_false(cursor.is_lost);
            level_cursor_free(&cursor);
        }
    level_tree_close(tree, NULL);
}

// Between the portions others come and go by thousands, so that the table grows and shrinks under the search. What is there
// all the time is found once, whatever happens to the node where the search stopped.
static void test_a_search_in_portions_misses_nothing_while_the_tree_changes(void **state)
{
    (void)state;
    enum { STAY = 500, MANY = 20000 };
    for (int round = 0; round < 4; round++) {
        // Portions of one node are many: fewer nodes and changes in each keep them as fast.
        int many = round < 2 ? MANY / 4 : MANY, a_portion = many / 66;
        struct level_tree *tree = tree_open();
        struct level_cursor cursor = {.path = NULL};
        int *seen = calloc(MANY, sizeof *seen), there = round % 2 ? STAY : many;
        assert_non_null(seen);
        for (int i = 0; i < there; i++)
            put_number(tree, i);
        for (int portion = 0; !cursor.is_done; portion++) {
            next_names(tree, "a/#", &cursor, round < 2 ? 1 : 5, seen);
            bool grows = portion / 60 % 2 == (round % 2 ? 0 : 1);
            for (int i = 0; i < a_portion; i++) {
                if (grows && there < many)
                    put_number(tree, there++);
                else if (!grows && there > STAY)
                    take_number(tree, --there);
            }
            if (portion % 100 == 0)
                assert_true(level_tree_is_valid(tree));
        }
        for (int i = 0; i < STAY; i++)
            assert_int_equal(seen[i], 1);
        level_cursor_free(&cursor);
        level_tree_close(tree, NULL);
        free(seen);
    }
}

static void test_a_search_that_cannot_keep_its_place_says_so(void **state)
{
    (void)state;
    struct level_tree *tree = tree_open();
    struct account account;
    account_open(&account, 1);
    struct level_cursor cursor = {.account = &account, .kind = ACCOUNT_SESSIONS};
    int seen[3] = {0};
    for (int i = 0; i < 3; i++)
        put_number(tree, i);
    next_names(tree, "a/#", &cursor, 10, seen);
    assert_true(cursor.is_lost && cursor.is_done && !cursor.path);
    assert_int_equal(seen[0] + seen[1] + seen[2], 1);
    assert_int_equal(next_names(tree, "a/#", &cursor, 10, seen), 0);
    level_tree_close(tree, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_is_a_node_for_each_level),
        cmocka_unit_test(test_empty_levels_are_levels),
        cmocka_unit_test(test_pruning_frees_what_leads_nowhere_and_no_more),
        cmocka_unit_test(test_closing_drops_each_value_once),
        cmocka_unit_test(test_the_account_has_the_tables_whatever_comes_and_goes),
        cmocka_unit_test(test_children_are_found_while_tables_grow_and_shrink),
        cmocka_unit_test(test_the_deepest_topic_there_can_be_is_made_matched_and_closed),
        cmocka_unit_test(test_nothing_matches_in_an_empty_tree),
        cmocka_unit_test(test_levels_that_only_begin_alike_are_different),
        cmocka_unit_test(test_a_search_in_portions_finds_what_a_whole_one_finds),
        cmocka_unit_test(test_a_search_in_portions_misses_nothing_while_the_tree_changes),
        cmocka_unit_test(test_a_search_that_cannot_keep_its_place_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
