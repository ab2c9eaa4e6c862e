// SPDX-License-Identifier: Apache-2.0
// Topics and retained messages when memory runs out: with each request failing in turn, by itself and with
// all after it. That nothing leaks is for the address sanitizer to say.
#include "broker/mqtt/level_tree.h"
#include "broker/mqtt/message.h"
#include "broker/mqtt/retained.h"
#include "broker/mqtt/topics.h"
#include "tests/failing_heap.h"
#include "tests/store_of.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    CHILDREN = 140, // below one level: their table grows twice from 32 buckets, and shrinks again
    CROWD = 20,     // subscribers of one filter: their set grows from 4 places three times
    FILTER_BYTES = 40,
};

static bool stays(const void *state) // whether all after the failing request fail too
{
    return state != NULL;
}

// --- opening -----------------------------------------------------------------------------------------------

static int open_tree(void **made)
{
    return level_tree_open((struct level_tree **)made, NULL, ACCOUNT_SUBSCRIPTIONS);
}

static int open_topics(void **made)
{
    return topics_open((struct topics **)made, NULL);
}

static int open_retained(void **made)
{
    return retained_open((struct retained **)made, &(struct retained_rules){0});
}

static void check_open(int (*open)(void **made), void **made, bool stay)
{
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        *made = NULL;
        failing_heap_arm(nth, stay);
        int code = open(made);
        reached = failing_heap_disarm() > nth;
        assert_int_equal(code, reached ? -ENOMEM : 0);
        assert_true(reached == (*made == NULL));
        assert_true(reached || nth > 0);
    }
}

static void test_opening_without_memory_undoes_everything(void **state)
{
    void *made;
    check_open(open_tree, &made, stays(*state));
    level_tree_close(made, NULL);
    check_open(open_topics, &made, stays(*state));
    topics_close(made);
    check_open(open_retained, &made, stays(*state));
    retained_close(made);
}

// --- the tree ----------------------------------------------------------------------------------------------

static void test_a_path_without_memory_leaves_the_tree_as_it_was(void **state)
{
    static char value;
    struct level_tree *tree = NULL;
    assert_int_equal(level_tree_open(&tree, NULL, ACCOUNT_SUBSCRIPTIONS), 0);
    struct level_node *node = level_tree_make(tree, mqtt_text_of("a/b"));
    assert_non_null(node);
    *level_node_value(node) = &value;
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        failing_heap_arm(nth, stays(*state));
        node = level_tree_make(tree, mqtt_text_of("a/b/c/d/e/f/g"));
        reached = failing_heap_disarm() > nth;
        assert_true(reached == (node == NULL));
        assert_int_equal(level_tree_count(tree), reached ? 2 : 7);
        assert_true(!reached || level_tree_is_valid(tree));
        assert_true(reached || nth == 5); // a request a level
    }
    level_tree_prune(tree, node);
    assert_int_equal(level_tree_count(tree), 2);
    level_tree_close(tree, NULL);
}

// --- subscribing -------------------------------------------------------------------------------------------

struct wish { // one subscription, and whether it should be there
    char filter[FILTER_BYTES];
    struct topics_subscriber *subscriber;
    bool is_there;
};

struct book {
    struct topics *topics;
    struct topics_subscriber one, crowd[CROWD];
    struct wish wishes[CHILDREN + CROWD + 2];
    int count;
};

static void wish(struct book *book, struct topics_subscriber *subscriber, const char *filter)
{
    struct wish *wish = &book->wishes[book->count++];
    snprintf(wish->filter, sizeof wish->filter, "%s", filter);
    wish->subscriber = subscriber;
}

static struct book *book_open(void)
{
    struct book *book = calloc(1, sizeof *book);
    assert_non_null(book);
    assert_int_equal(topics_open(&book->topics, NULL), 0);
    char filter[FILTER_BYTES];
    for (int i = 0; i < CHILDREN; i++) {
        snprintf(filter, sizeof filter, "many/%d", i);
        wish(book, &book->one, filter);
    }
    for (int i = 0; i < CROWD; i++)
        wish(book, &book->crowd[i], "crowd/+");
    wish(book, &book->one, "crowd/here");
    wish(book, &book->one, "a/b/c/d/e/f/g/#");
    return book;
}

static void book_close(struct book *book)
{
    topics_close(book->topics);
    free(book);
}

struct found {
    const struct topics_subscriber *subscriber;
    int calls, hits;
};

static void find(void *context, struct topics_subscriber *subscriber, uint8_t qos)
{
    struct found *found = context;
    (void)qos;
    found->calls++;
    found->hits += subscriber == found->subscriber;
}

// That exactly what was granted is there: counted, found by its name, and by nobody else's.
static void check_book(const struct book *book)
{
    int64_t there = 0;
    assert_true(topics_is_valid(book->topics));
    for (int i = 0; i < book->count; i++) {
        const struct wish *wish = &book->wishes[i];
        char name[FILTER_BYTES];
        snprintf(name, sizeof name, "%s", wish->filter);
        if (strchr(name, '+'))
            strcpy(strchr(name, '+'), "nobody");
        if (strchr(name, '#'))
            strcpy(strchr(name, '#'), "below");
        struct found found = {.subscriber = wish->subscriber};
        uint32_t work = 0;
        assert_true(topics_match(book->topics, mqtt_text_of(name), NULL, find, &found, &work) == found.calls);
        assert_int_equal(found.hits, wish->is_there);
        there += wish->is_there;
    }
    assert_int_equal(topics_count(book->topics), there);
}

// Subscribes to all that is not there yet. Returns how often there was no memory.
static int subscribe_all(struct book *book)
{
    int failed = 0;
    for (int i = 0; i < book->count; i++) {
        struct wish *wish = &book->wishes[i];
        int code = topics_subscribe(book->topics, wish->subscriber, mqtt_text_of(wish->filter), 1);
        assert_true(code == (wish->is_there ? 0 : 1) || (!wish->is_there && code == -ENOMEM));
        failed += code == -ENOMEM;
        wish->is_there = wish->is_there || code == 1;
    }
    return failed;
}

static void test_a_subscription_without_memory_changes_nothing_and_may_be_tried_again(void **state)
{
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct book *book = book_open();
        failing_heap_arm(nth, stays(*state));
        int failed = subscribe_all(book);
        reached = failing_heap_disarm() > nth;
        assert_true(reached || failed == 0);
        assert_true(failed <= 1 || stays(*state));
        if (nth == 0 && stays(*state))
            assert_int_equal(failed, book->count);
        check_book(book);
        assert_int_equal(subscribe_all(book), 0);
        check_book(book);
        book_close(book);
    }
}

static void test_unsubscribing_and_leaving_do_without_memory(void **state)
{
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct book *book = book_open();
        assert_int_equal(subscribe_all(book), 0);
        failing_heap_arm(nth, stays(*state));
        for (int i = 0; i < book->count; i++)
            if (i % 16 != 0) { // enough go for tables and sets to shrink
                struct wish *wish = &book->wishes[i];
                assert_true(topics_unsubscribe(book->topics, wish->subscriber, mqtt_text_of(wish->filter)));
                wish->is_there = false;
            }
        reached = failing_heap_disarm() > nth;
        assert_true(reached || nth > 0); // shrinking does ask for some, and goes on without
        check_book(book);
        failing_heap_arm(0, true);
        topics_leave(book->topics, &book->one);
        for (int i = 0; i < CROWD; i++)
            topics_leave(book->topics, &book->crowd[i]);
        failing_heap_disarm();
        assert_int_equal(topics_count(book->topics), 0);
        assert_true(topics_is_valid(book->topics));
        book_close(book);
    }
}

// --- matching ----------------------------------------------------------------------------------------------

// Subscribes each to all 32 filters of five levels that match a/a/a/a/a: more than fit on the stack.
static void subscribe_to_many(struct topics *topics, struct topics_subscriber *subscribers, int count)
{
    for (int mask = 0; mask < 32; mask++) {
        char filter[] = "a/a/a/a/a";
        for (int level = 0; level < 5; level++)
            filter[2 * level] = mask >> level & 1 ? '+' : 'a';
        for (int i = 0; i < count; i++)
            assert_int_equal(topics_subscribe(topics, &subscribers[i], mqtt_text_of(filter), 0), 1);
    }
}

static void test_a_match_without_memory_calls_nobody(void **state)
{
    enum { SUBSCRIBERS = 3 };
    struct topics_subscriber subscribers[SUBSCRIBERS] = {0};
    struct topics *topics = NULL;
    assert_int_equal(topics_open(&topics, NULL), 0);
    subscribe_to_many(topics, subscribers, SUBSCRIBERS);
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct found found = {.subscriber = &subscribers[1]};
        uint32_t work = 0;
        failing_heap_arm(nth, stays(*state));
        int64_t matched = topics_match(topics, mqtt_text_of("a/a/a/a/a"), NULL, find, &found, &work);
        reached = failing_heap_disarm() > nth;
        assert_int_equal(matched, reached ? -ENOMEM : SUBSCRIBERS);
        assert_int_equal(found.calls, reached ? 0 : SUBSCRIBERS);
        assert_int_equal(found.hits, reached ? 0 : 1);
        assert_true(reached || nth >= 2); // for the filters found, and for their subscribers
    }
    topics_close(topics);
}

// --- retained messages -------------------------------------------------------------------------------------

static struct message *message_of(struct pool *pool, const char *topic, const char *payload)
{
    struct mqtt_bytes bytes = {payload, strlen(payload)};
    struct message *message = message_new(store_of(pool), mqtt_text_of(topic), bytes, 0, true);
    assert_non_null(message);
    return message;
}

static void show(void *context, struct message *message)
{
    *(struct message **)context = message;
}

static void check_retained(struct retained *retained, const char *topic, const struct message *message)
{
    struct message *shown = NULL;
    assert_int_equal(retained_match(retained, mqtt_text_of(topic), show, &shown), message ? 1 : 0);
    assert_ptr_equal(shown, message);
    assert_true(retained_is_valid(retained));
}

static void test_keeping_a_message_without_memory_keeps_what_was_there(void **state)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 256;
    struct pool *pool = NULL;
    assert_int_equal(pool_open(&pool, pool_strategy_find("malloc"), &config, NULL), 0);
    struct retained *retained = NULL;
    assert_int_equal(retained_open(&retained, &(struct retained_rules){0}), 0);
    struct message *old = message_of(pool, "a/b", "old"), *new = message_of(pool, "a/b", "new");
    assert_int_equal(retained_set(retained, mqtt_text_of("a/b"), old), 0);
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        failing_heap_arm(nth, stays(*state));
        int code = retained_set(retained, mqtt_text_of("a/b/c/d"), new);
        reached = failing_heap_disarm() > nth;
        assert_int_equal(code, reached ? -ENOMEM : 0);
        assert_int_equal(retained_count(retained), reached ? 1 : 2);
        check_retained(retained, "a/b/c/d", reached ? NULL : new);
        check_retained(retained, "a/b", old);
        assert_true(reached || nth == 2);
    }
    // In the place of another, and away with it: that needs none.
    failing_heap_arm(0, true);
    assert_int_equal(retained_set(retained, mqtt_text_of("a/b"), new), 0);
    assert_int_equal(retained_set(retained, mqtt_text_of("a/b/c/d"), NULL), 0);
    assert_int_equal(retained_set(retained, mqtt_text_of("never/was"), NULL), 0);
    failing_heap_disarm();
    check_retained(retained, "a/b", new);
    message_unref(old);
    message_unref(new);
    retained_close(retained);
    struct pool_stats stats;
    pool_stats(pool, &stats);
    assert_int_equal(stats.in_use, 0);
    pool_close(pool);
}

int main(void)
{
    static char yes;
    const struct CMUnitTest single[] = {
        cmocka_unit_test(test_opening_without_memory_undoes_everything),
        cmocka_unit_test(test_a_path_without_memory_leaves_the_tree_as_it_was),
        cmocka_unit_test(test_a_subscription_without_memory_changes_nothing_and_may_be_tried_again),
        cmocka_unit_test(test_unsubscribing_and_leaving_do_without_memory),
        cmocka_unit_test(test_a_match_without_memory_calls_nobody),
        cmocka_unit_test(test_keeping_a_message_without_memory_keeps_what_was_there),
    };
    struct CMUnitTest all[sizeof single / sizeof single[0]];
    memcpy(all, single, sizeof single);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        all[i].initial_state = &yes;
    return cmocka_run_group_tests_name("one request fails", single, NULL, NULL) +
           cmocka_run_group_tests_name("all requests fail from one on", all, NULL, NULL);
}
