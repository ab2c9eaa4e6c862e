// SPDX-License-Identifier: Apache-2.0
// The subscriptions of one subscriber: found by their nodes in few steps, whatever order they come and go in.
#include "broker/mqtt/topics_own.h"

#include "broker/mqtt/topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MANY = 20000, NODE_BYTES = 64 };

static struct topics_subscriber subscriber;
static struct topics_subscription *subscriptions;
static char *nodes; // only their addresses matter

static struct level_node *node_at(int number)
{
    return (struct level_node *)(nodes + (size_t)number * NODE_BYTES);
}

static void add(int number)
{
    subscriptions[number] =
        (struct topics_subscription){.node = node_at(number), .subscriber = &subscriber, .qos = 1};
    topics_own_add(&subscriptions[number]);
}

static int depth(const struct topics_subscription *one)
{
    if (!one)
        return 0;
    int left = depth(one->left), right = depth(one->right);
    return 1 + (left > right ? left : right);
}

static void assert_shallow(void)
{
    assert_true(depth(subscriber.root) < 60); // 15 would be the least
}

static int set_up(void **state)
{
    (void)state;
    subscriber.root = NULL;
    subscriptions = calloc(MANY, sizeof *subscriptions);
    nodes = malloc((size_t)MANY * NODE_BYTES);
    return subscriptions && nodes ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(subscriptions);
    free(nodes);
    return 0;
}

static void each_is_found_in_few_steps_in_whatever_order_they_come(void **state)
{
    (void)state;
    for (int order = 0; order < 3; order++) { // up, down, mixed
        for (int i = 0; i < MANY; i++)
            add(order == 0 ? i : order == 1 ? MANY - 1 - i : (int)((int64_t)i * 7919 % MANY));
        assert_shallow();
        assert_int_equal(topics_own_count(&subscriber), MANY);
        for (int i = 0; i < MANY; i++)
            assert_ptr_equal(topics_own_find(&subscriber, node_at(i)), &subscriptions[i]);
        for (int i = 0; i < MANY; i++)
            topics_own_remove(order == 1 ? subscriber.root : &subscriptions[i]);
        assert_null(subscriber.root);
    }
}

static void one_that_was_removed_is_not_found_and_the_others_are(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++)
        add(i);
    for (int i = 0; i < MANY; i++)
        if (i % 3 != 0)
            topics_own_remove(&subscriptions[i]);
    assert_shallow();
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(topics_own_find(&subscriber, node_at(i)), i % 3 != 0 ? NULL : &subscriptions[i]);
    for (int i = 1; i < MANY; i += 3)
        add(i);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(topics_own_find(&subscriber, node_at(i)) != NULL, i % 3 != 2);
    assert_int_equal(topics_own_count(&subscriber), (MANY + 2) / 3 + (MANY + 1) / 3);
}

static void nobody_has_none(void **state)
{
    (void)state;
    assert_null(topics_own_find(&subscriber, node_at(1)));
    assert_int_equal(topics_own_count(&subscriber), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_is_found_in_few_steps_in_whatever_order_they_come),
        TEST(one_that_was_removed_is_not_found_and_the_others_are),
        TEST(nobody_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
