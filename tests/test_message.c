// SPDX-License-Identifier: Apache-2.0
// Messages counted by references, in a pool and in the heap.
#include "broker/mqtt/block.h"
#include "broker/mqtt/message.h"
#include "tests/store_of.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

enum { OBJECT_BYTES = 128 };

static struct pool *open_pool(const char *strategy, int64_t max, enum pool_overflow overflow)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "messages";
    config.object_bytes = OBJECT_BYTES;
    config.max = max;
    config.overflow = overflow;
    struct pool *pool;
    assert_int_equal(pool_open(&pool, pool_strategy_find(strategy), &config, NULL), 0);
    return pool;
}

static int64_t in_use(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats.in_use;
}

static struct message *make(struct pool *pool, const char *topic, const void *payload, size_t bytes)
{
    return message_new(store_of(pool), mqtt_text_of(topic), (struct mqtt_bytes){payload, bytes}, 1, true);
}

static void topic_and_payload_are_copied(void **state)
{
    (void)state;
    struct pool *pool = open_pool("malloc", 0, POOL_OVERFLOW_HEAP);
    char topic[] = "a/b", payload[] = "hello";
    struct message *message = make(pool, topic, payload, 5);
    topic[0] = payload[0] = 'X';
    assert_non_null(message);
    assert_true(mqtt_text_equal(message_topic(message), mqtt_text_of("a/b")));
    assert_int_equal(message_payload(message).bytes, 5);
    assert_memory_equal(message_payload(message).data, "hello", 5);
    assert_int_equal(message->qos, 1);
    assert_true(message->retain);
    message_unref(message);
    pool_close(pool);
}

static void the_last_reference_gives_it_back(void **state)
{
    (void)state;
    struct pool *pool = open_pool("expand", 0, POOL_OVERFLOW_HEAP);
    struct message *message = make(pool, "t", "p", 1);
    assert_ptr_equal(message_ref(message), message);
    message_unref(message);
    assert_int_equal(in_use(pool), 1);
    message_unref(message);
    assert_int_equal(in_use(pool), 0);
    message_unref(NULL);
    pool_close(pool);
}

static void one_that_is_larger_than_the_pools_objects_is_whole(void **state)
{
    (void)state;
    struct pool *pool = open_pool("expand", 0, POOL_OVERFLOW_HEAP);
    static uint8_t payload[100000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7);
    struct message *message = make(pool, "large", payload, sizeof payload);
    assert_non_null(message);
    assert_memory_equal(message_payload(message).data, payload, sizeof payload);
    message_unref(message);
    assert_int_equal(in_use(pool), 0);
    pool_close(pool);
}

static void an_empty_payload_is_a_message(void **state)
{
    (void)state;
    struct pool *pool = open_pool("malloc", 0, POOL_OVERFLOW_HEAP);
    struct message *message =
        message_new(store_of(pool), mqtt_text_of("t"), (struct mqtt_bytes){NULL, 0}, 0, false);
    assert_non_null(message);
    assert_int_equal(message_payload(message).bytes, 0);
    message_unref(message);
    pool_close(pool);
}

static void a_pool_that_refuses_gives_none(void **state)
{
    (void)state;
    struct pool *pool = open_pool("expand", 1, POOL_OVERFLOW_REFUSE);
    struct message *first = make(pool, "t", "p", 1);
    assert_non_null(first);
    assert_null(make(pool, "t", "p", 1));
    message_unref(first);
    struct message *again = make(pool, "t", "p", 1);
    assert_non_null(again);
    message_unref(again);
    pool_close(pool);
}

enum { THREADS = 8, ROUNDS = 2000 };

static void *ref_and_unref(void *context)
{
    struct message *message = context;
    for (int i = 0; i < ROUNDS; i++) {
        message_ref(message);
        if (message_topic(message).bytes != 1)
            return message;
        message_unref(message);
    }
    message_unref(message);
    return NULL;
}

static void threads_share_one_and_the_last_frees_it(void **state)
{
    (void)state;
    struct pool *pool = open_pool("malloc", 0, POOL_OVERFLOW_HEAP);
    struct message *message = make(pool, "t", "p", 1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        message_ref(message);
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, message), 0);
    }
    message_unref(message);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(in_use(pool), 0);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topic_and_payload_are_copied),
        cmocka_unit_test(the_last_reference_gives_it_back),
        cmocka_unit_test(one_that_is_larger_than_the_pools_objects_is_whole),
        cmocka_unit_test(an_empty_payload_is_a_message),
        cmocka_unit_test(a_pool_that_refuses_gives_none),
        cmocka_unit_test(threads_share_one_and_the_last_frees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
