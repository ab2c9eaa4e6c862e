// SPDX-License-Identifier: Apache-2.0
// Sessions: where their memory comes from, and their packet ids.
#include "broker/mqtt/connection.h"
#include "broker/mqtt/session.h"
#include "tests/store_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct flow_rules rules = FLOW_RULES_DEFAULTS;

static struct pool *open_pool(const char *name, size_t object_bytes)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = name;
    config.object_bytes = object_bytes;
    struct pool *pool;
    assert_int_equal(pool_open(&pool, pool_strategy_find("expand"), &config, NULL), 0);
    return pool;
}

static struct pool_stats stats_of(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats;
}

static void a_session_knows_its_client_id(void **state)
{
    (void)state;
    struct pool *arenas = open_pool("arenas", session_bytes(SESSION_NATURAL_ID_BYTES));
    struct session *session = session_new(store_of(arenas), NULL, mqtt_text_of("client-7"), 3, true);
    assert_non_null(session);
    assert_true(mqtt_text_equal(session_id(session), mqtt_text_of("client-7")));
    assert_int_equal(session->owner, 3);
    assert_true(session->is_clean);
    assert_null(session->connection);
    assert_int_equal(stats_of(arenas).in_use, 1);
    session_unref(session, store_of(arenas));
    assert_int_equal(stats_of(arenas).in_use, 0);
    pool_close(arenas);
}

// What an idle connection costs in shape lean: two chunks of glibc's heap, and its share of the table.
static void an_idle_connection_of_a_usual_client_takes_two_chunks_of_80_bytes(void **state)
{
    (void)state;
    assert_int_equal(account_heap_bytes(sizeof(struct connection)), 80);
    assert_int_equal(account_heap_bytes(session_bytes(SESSION_NATURAL_ID_BYTES)), 80);
}

static void it_takes_over_the_arena_that_it_is_given(void **state)
{
    (void)state;
    struct pool *arenas = open_pool("arenas", 1024);
    void *arena = pool_get(arenas);
    struct session *session = session_new(store_of(arenas), arena, mqtt_text_of("c"), 0, true);
    assert_ptr_equal(session, arena);
    assert_int_equal(stats_of(arenas).gets, 1);
    session_unref(session, store_of(arenas));
    assert_int_equal(stats_of(arenas).in_use, 0);
    pool_close(arenas);
}

static void an_id_too_long_for_the_arena_takes_the_heap(void **state)
{
    (void)state;
    char id[2000];
    memset(id, 'x', sizeof id);
    struct pool *arenas = open_pool("arenas", 1024);
    void *arena = pool_get(arenas);
    struct session *session =
        session_new(store_of(arenas), arena, (struct mqtt_text){id, sizeof id}, 0, false);
    assert_non_null(session);
    assert_int_equal(stats_of(arenas).in_use, 0);
    assert_int_equal(session_id(session).bytes, sizeof id);
    assert_memory_equal(session_id(session).data, id, sizeof id);
    session_unref(session, store_of(arenas));
    pool_close(arenas);
}

static void the_last_reference_frees_it_with_what_is_queued(void **state)
{
    (void)state;
    struct pool *arenas = open_pool("arenas", session_bytes(SESSION_NATURAL_ID_BYTES));
    struct pool *messages = open_pool("messages", 128);
    struct message *message =
        message_new(store_of(messages), mqtt_text_of("t"), (struct mqtt_bytes){"p", 1}, 1, false);
    struct session *session = session_new(store_of(arenas), NULL, mqtt_text_of("c"), 0, false);
    assert_int_equal(flow_queue_push(session_flow_need(session, store_of(arenas), &rules), message, 1, false),
                     0);
    message_unref(message);
    session_ref(session);
    session_unref(session, store_of(arenas));
    assert_int_equal(stats_of(messages).in_use, 1);
    session_unref(session, store_of(arenas));
    assert_int_equal(stats_of(messages).in_use, 0);
    assert_int_equal(stats_of(arenas).in_use, 0);
    pool_close(messages);
    pool_close(arenas);
}

static void the_flow_lies_in_an_arena_with_room_and_is_let_go_when_idle(void **state)
{
    (void)state;
    struct pool *large = open_pool("arenas", 6144), *small = open_pool("arenas", session_bytes(8));
    struct session *roomy = session_new(store_of(large), NULL, mqtt_text_of("c"), 0, true);
    struct session *tight = session_new(store_of(small), NULL, mqtt_text_of("c"), 0, true);
    struct session_flow *flow = session_flow_need(roomy, store_of(large), &rules);
    assert_in_range((uintptr_t)flow, (uintptr_t)roomy, (uintptr_t)roomy + 6144 - sizeof *flow);
    assert_true(flow->in_arena);
    assert_false(session_flow_need(tight, store_of(small), &rules)->in_arena);
    assert_int_equal(flow_received_add(tight->flow, 9), 1);
    session_flow_done(roomy);
    session_flow_done(tight);
    assert_null(roomy->flow);
    assert_non_null(tight->flow);
    assert_true(flow_received_remove(tight->flow, 9));
    session_flow_done(tight);
    assert_null(tight->flow);
    session_unref(roomy, store_of(large));
    session_unref(tight, store_of(small));
    pool_close(large);
    pool_close(small);
}

static void packet_ids_are_never_zero_nor_in_flight(void **state)
{
    (void)state;
    struct pool *arenas = open_pool("arenas", 1024), *messages = open_pool("messages", 128);
    struct session *session = session_new(store_of(arenas), NULL, mqtt_text_of("c"), 0, true);
    struct message *message =
        message_new(store_of(messages), mqtt_text_of("t"), (struct mqtt_bytes){"p", 1}, 1, false);
    struct session_flow *flow = session_flow_need(session, store_of(arenas), &rules);
    assert_int_equal(flow_next_packet_id(flow), 1);
    assert_int_equal(flow_inflight_add(flow, message, 1, false, 1), 0);
    assert_int_equal(flow_inflight_add(flow, message, 1, false, 2), 0);
    flow->last_packet_id = UINT16_MAX - 1;
    assert_int_equal(flow_next_packet_id(flow), UINT16_MAX);
    assert_int_equal(flow_next_packet_id(flow), 3);
    message_unref(message);
    session_unref(session, store_of(arenas));
    pool_close(messages);
    pool_close(arenas);
}

// As an acknowledgement may come twice.
static void what_an_ended_flow_gave_the_next_one_does_not(void **state)
{
    (void)state;
    struct pool *arenas = open_pool("arenas", 1024);
    uint16_t packet_ids = 0;
    struct flow_rules of_loop = rules;
    of_loop.packet_ids = &packet_ids;
    struct session *one = session_new(store_of(arenas), NULL, mqtt_text_of("1"), 0, false);
    struct session *two = session_new(store_of(arenas), NULL, mqtt_text_of("2"), 0, false);
    assert_int_equal(flow_next_packet_id(session_flow_need(one, store_of(arenas), &of_loop)), 1);
    assert_int_equal(flow_next_packet_id(session_flow_need(two, store_of(arenas), &of_loop)), 1);
    assert_int_equal(flow_next_packet_id(one->flow), 2);
    session_flow_done(one);
    session_flow_done(two);
    assert_true(!one->flow && !two->flow);
    assert_int_equal(flow_next_packet_id(session_flow_need(one, store_of(arenas), &of_loop)), 4);
    session_flow_done(one);
    packet_ids = UINT16_MAX - 1;
    assert_int_equal(flow_next_packet_id(session_flow_need(one, store_of(arenas), &of_loop)), UINT16_MAX);
    assert_int_equal(flow_next_packet_id(one->flow), 1); // never 0
    session_flow_done(one);
    assert_int_equal(flow_next_packet_id(session_flow_need(one, store_of(arenas), &of_loop)), 2);
    session_unref(one, store_of(arenas));
    session_unref(two, store_of(arenas));
    pool_close(arenas);
}

static void mail_is_bulk_while_bulk_for_the_same_session_is_on_its_way(void **state)
{
    (void)state;
    struct pool *arenas = open_pool("arenas", session_bytes(SESSION_NATURAL_ID_BYTES));
    struct session *session = session_new(store_of(arenas), NULL, mqtt_text_of("c"), 0, true);
    assert_non_null(session);
    assert_false(session_has_mail(session, 0) || session_ref_mail(session, false));
    assert_true(session_has_mail(session, 0) && !session_has_mail(session, 1));
    assert_true(session_ref_mail(session, true) && session_ref_mail(session, false));
    for (int left = 3; left > 0; left--) {
        assert_true(session_has_mail(session, (uint32_t)left - 1) &&
                    !session_has_mail(session, (uint32_t)left));
        session_mail_read(session);
        session_unref(session, store_of(arenas));
    }
    assert_false(session_has_mail(session, 0) || session_ref_mail(session, false)); // all of it has come
    assert_true(session_ref_mail(session, true));
    session_unref(session, store_of(arenas)); // the table's: the session ends before its mail
    session_unref(session, store_of(arenas));
    assert_int_equal(stats_of(arenas).in_use, 1);
    session_unref(session, store_of(arenas));
    assert_int_equal(stats_of(arenas).in_use, 0);
    pool_close(arenas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_knows_its_client_id),
        cmocka_unit_test(an_idle_connection_of_a_usual_client_takes_two_chunks_of_80_bytes),
        cmocka_unit_test(it_takes_over_the_arena_that_it_is_given),
        cmocka_unit_test(an_id_too_long_for_the_arena_takes_the_heap),
        cmocka_unit_test(the_last_reference_frees_it_with_what_is_queued),
        cmocka_unit_test(the_flow_lies_in_an_arena_with_room_and_is_let_go_when_idle),
        cmocka_unit_test(packet_ids_are_never_zero_nor_in_flight),
        cmocka_unit_test(what_an_ended_flow_gave_the_next_one_does_not),
        cmocka_unit_test(mail_is_bulk_while_bulk_for_the_same_session_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
