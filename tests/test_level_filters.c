// SPDX-License-Identifier: Apache-2.0
// The search of the filters that match a name: at once, and in portions while filters come and go.
#include "broker/mqtt/level_filters.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char some_value;

static struct level_tree *tree_open(void)
{
    struct level_tree *tree = NULL;
    assert_int_equal(level_tree_open(&tree, NULL, ACCOUNT_SUBSCRIPTIONS), 0);
    return tree;
}

static void put(struct level_tree *tree, const char *path)
{
    struct level_node *node = level_tree_make(tree, mqtt_text_of(path));
    assert_non_null(node);
    *level_node_value(node) = &some_value;
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

// Every way to write a/a/a... with pluses, and each of these with /# behind it: 2 * 2^levels filters match.
enum { WAYS_LEVELS = 6, WAYS = 1 << WAYS_LEVELS, WAYS_BYTES = 2 * WAYS_LEVELS + 2 };

static const char *way(int bits, bool has_hash, char path[WAYS_BYTES])
{
    for (int level = 0; level < WAYS_LEVELS; level++) {
        path[2 * level] = bits >> level & 1 ? '+' : 'a';
        path[2 * level + 1] = '/';
    }
    path[2 * WAYS_LEVELS] = '#';
    path[2 * WAYS_LEVELS + (has_hash ? 1 : -1)] = '\0';
    return path;
}

static void put_ways(struct level_tree *tree)
{
    char path[WAYS_BYTES];
    for (int bits = 0; bits < WAYS; bits++) {
        put(tree, way(bits, false, path));
        put(tree, way(bits, true, path));
    }
    put(tree, "#");
    put(tree, "a/#");
}

static struct level_trail *new_trail(const char *name)
{
    struct level_trail *trail = calloc(1, level_trail_bytes(mqtt_text_of(name)));
    assert_non_null(trail);
    return trail;
}

// Portions of any size find what one search does, in the same order.
static void test_filters_are_found_in_portions(void **state)
{
    (void)state;
    static const char name[] = "a/a/a/a/a/a";
    struct level_tree *tree = tree_open();
    put_ways(tree);
    put(tree, "a/a/b");
    put(tree, "$SYS/#");
    int count = 0;
    level_tree_match_filters(tree, mqtt_text_of(name), count_visit, &count);
    assert_int_equal(count, 2 * WAYS + 2);
    for (int64_t most = 1; most < 400; most = most * 2 + 1) {
        struct level_trail *trail = new_trail(name);
        struct level_search whole, part;
        bool is_over = false;
        level_search_begin(&whole, tree, mqtt_text_of(name));
        for (int portions = 0; !is_over; portions++) {
            level_search_resume(&part, tree, mqtt_text_of(name), trail);
            struct level_node *node = level_search_next(&part, most);
            assert_true(part.looked <= (int64_t)trail->count + most);
            if (node)
                assert_ptr_equal(node, level_search_next(&whole, INT64_MAX));
            level_search_keep(&part, trail);
            is_over = part.is_over;
            level_search_end(&part);
            assert_true(portions < 10000);
        }
        assert_null(level_search_next(&whole, INT64_MAX));
        assert_true(whole.is_over);
        level_search_end(&whole);
        free(trail);
    }
    level_tree_close(tree, NULL);
}

// Half of the filters come and go between the portions. Those that stay are found once each.
static void test_filters_that_stay_are_found_once_while_others_come_and_go(void **state)
{
    (void)state;
    static const char name[] = "a/a/a/a/a/a";
    struct level_tree *tree = tree_open();
    int found[2][WAYS] = {{0}};
    char path[WAYS_BYTES];
    struct level_trail *trail = new_trail(name);
    put_ways(tree);
    bool is_there[WAYS];
    for (int bits = 0; bits < WAYS; bits++)
        is_there[bits] = true;
    bool is_over = false;
    for (int step = 0; !is_over; step++) {
        struct level_search search;
        level_search_resume(&search, tree, mqtt_text_of(name), trail);
        struct level_node *node = level_search_next(&search, 3);
        for (int bits = 0; node && bits < WAYS; bits++)
            for (int hash = 0; hash < 2; hash++)
                found[hash][bits] += level_tree_find(tree, mqtt_text_of(way(bits, hash, path))) == node;
        level_search_keep(&search, trail);
        is_over = search.is_over;
        level_search_end(&search);
        for (int i = 0; i < 5; i++) { // odd ones, with all that is below the nodes of both
            int bits = (step * 37 + i * 11) % WAYS | 1;
            for (int hash = 0; hash < 2; hash++)
                if (is_there[bits])
                    take(tree, way(bits, hash, path));
                else
                    put(tree, way(bits, hash, path));
            is_there[bits] = !is_there[bits];
        }
        assert_true(step < 10000);
    }
    for (int bits = 0; bits < WAYS; bits += 2)
        assert_true(found[0][bits] == 1 && found[1][bits] == 1);
    free(trail);
    level_tree_close(tree, NULL);
}

static void test_the_place_of_a_search_may_go(void **state)
{
    (void)state;
    static const char name[] = "a/a/a/a/a/a";
    char path[WAYS_BYTES];
    for (int64_t most = 1; most < 300; most++) { // wherever it stops, all goes
        struct level_tree *tree = tree_open();
        struct level_trail *trail = new_trail(name);
        struct level_search search;
        put_ways(tree);
        level_search_begin(&search, tree, mqtt_text_of(name));
        while (search.looked < most && level_search_next(&search, most - search.looked))
            continue;
        level_search_keep(&search, trail);
        bool was_over = search.is_over;
        level_search_end(&search);
        for (int bits = 0; bits < WAYS; bits++) {
            take(tree, way(bits, false, path));
            take(tree, way(bits, true, path));
        }
        take(tree, "#");
        take(tree, "a/#");
        level_search_resume(&search, tree, mqtt_text_of(name), trail);
        assert_null(was_over ? NULL : level_search_next(&search, INT64_MAX));
        level_search_end(&search);
        free(trail);
        level_tree_close(tree, NULL);
    }
}

// As deep as a name can be, with a branch at each level: what is known of its levels is more than fits on the stack.
static void test_a_search_of_the_deepest_name_stops_and_goes_on(void **state)
{
    (void)state;
    enum { BYTES = 65535 };
    char *name = malloc(BYTES + 1);
    assert_non_null(name);
    memset(name, '/', BYTES);
    name[BYTES] = '\0';
    struct level_tree *tree = tree_open();
    put(tree, name);
    put(tree, "+/+/+/#");
    struct level_trail *trail = new_trail(name);
    int count = 0, portions = 0;
    for (bool is_over = false; !is_over; portions++) {
        struct level_search search;
        level_search_resume(&search, tree, mqtt_text_of(name), trail);
        count += level_search_next(&search, 10000) != NULL;
        level_search_keep(&search, trail);
        is_over = search.is_over;
        level_search_end(&search);
    }
    assert_int_equal(count, 2);
    assert_in_range(portions, 7, 12);
    free(trail);
    level_tree_close(tree, NULL);
    free(name);
}

// More levels than are kept without memory, of which each is asked for again.
static void test_levels_are_kept_when_they_are_asked_for_again(void **state)
{
    (void)state;
    enum { LEVELS = 3 * LEVEL_KNOWN_FEW };
    char name[4 * LEVELS] = "", *end = name;
    struct level_tree *tree = tree_open();
    struct level_reader reader;
    struct level_known level;
    for (int i = 0; i < LEVELS; i++)
        end += snprintf(end, 5, "%s%d", i ? "/" : "", i);
    level_reader_begin(&reader, tree, mqtt_text_of(name), true);
    for (int to = 0; to < LEVELS; to++)
        for (int i = 0; i <= to; i++) {
            char wanted[4];
            int bytes = snprintf(wanted, sizeof wanted, "%d", i);
            assert_true(level_reader_has(&reader, (size_t)i));
            assert_true(level_reader_at(&reader, (size_t)i, &level));
            assert_int_equal(level.bytes, bytes);
            assert_memory_equal(name + level.start, wanted, level.bytes);
        }
    assert_false(level_reader_has(&reader, LEVELS) || level_reader_at(&reader, LEVELS, &level));
    assert_false(reader.no_memory);
    level_reader_end(&reader);
    level_tree_close(tree, NULL);
}

static void test_a_search_without_memory_for_its_levels_says_so(void **state)
{
    (void)state;
    char name[] = "////////////////////////////////////////////////////////////////";
    struct account account;
    struct level_tree *tree;
    int count = 0;
    account_open(&account, 0);
    assert_int_equal(level_tree_open(&tree, &account, ACCOUNT_SUBSCRIPTIONS), 0);
    put(tree, name);
    put(tree, "+/a");
    account.limit = account.limit_of_stores = account_sum(&account);
    assert_int_equal(level_tree_match_filters(tree, mqtt_text_of(name), count_visit, &count), -ENOMEM);
    struct level_cursor cursor = {.kind = ACCOUNT_SUBSCRIPTIONS};
    int64_t looked = 0;
    level_tree_next_name(tree, mqtt_text_of(name), &cursor, INT64_MAX, &looked);
    assert_true(cursor.is_done && cursor.is_lost);
    level_cursor_free(&cursor);
    account.limit = 0;
    assert_true(level_tree_match_filters(tree, mqtt_text_of(name), count_visit, &count) > 0);
    level_tree_close(tree, NULL);
    assert_int_equal(account_sum(&account), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_are_found_in_portions),
        cmocka_unit_test(test_filters_that_stay_are_found_once_while_others_come_and_go),
        cmocka_unit_test(test_the_place_of_a_search_may_go),
        cmocka_unit_test(test_levels_are_kept_when_they_are_asked_for_again),
        cmocka_unit_test(test_a_search_without_memory_for_its_levels_says_so),
        cmocka_unit_test(test_a_search_of_the_deepest_name_stops_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
