// SPDX-License-Identifier: Apache-2.0
// A whole broker with a state file, which ends and starts again: what its clients find. Clients are spread over
// several loops, so that sanitizers see the mail between them.
#include "tests/broker_inside.h"
#include "tests/raw_client.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct broker_inside broker;

static void start(void **state, const char *more, const char *value)
{
    const struct temp_place *place = *state;
    broker_inside_start(&broker, "--threads", "3", "--state", place->file, more, value, NULL);
}

static void start_again(void **state)
{
    broker_inside_end(&broker);
    start(state, NULL, NULL);
}

static int64_t dropped(void)
{
    struct broker_statistics statistics;
    broker_statistics(broker.broker, &statistics);
    return statistics.counts.messages_dropped;
}

enum { CLIENTS = 8, MESSAGES = 30 };

static const char *numbered(const char *name, int number, char text[static 32])
{
    snprintf(text, 32, "%s-%d", name, number);
    return text;
}

static void kept_sessions_of_all_loops_get_what_was_published(void **state)
{
    start(state, NULL, NULL);
    struct raw_client clients[CLIENTS], publisher;
    char text[32];
    for (int i = 0; i < CLIENTS; i++) {
        raw_connect_kept(&clients[i], broker.port, numbered("client", i, text));
        assert_int_equal(raw_subscribe(&clients[i], "news/#", 2), 2);
    }
    raw_connect_kept(&publisher, broker.port, "publisher");
    for (int i = 0; i < CLIENTS; i += 2)
        raw_disconnect(&clients[i]);
    for (int i = 0; i < MESSAGES; i++)
        raw_publish_done(&publisher, "news/x", numbered("message", i, text), (uint8_t)(1 + i % 2), false);
    raw_disconnect(&publisher);
    for (int i = 1; i < CLIENTS;
         i += 2) { // ends with messages that were sent and not acknowledged: all of them
        for (int m = 0; m < MESSAGES; m++)
            (void)raw_receive_publish(&clients[i]);
        raw_close(&clients[i]);
    }
    start_again(state);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(raw_connect_kept(&clients[i], broker.port, numbered("client", i, text)));
        for (int m = 0; m < MESSAGES; m++) {
            struct mqtt_publish publish = raw_receive_publish(&clients[i]);
            numbered("message", m, text);
            assert_int_equal(publish.payload.bytes, strlen(text));
            assert_memory_equal(publish.payload.data, text, strlen(text));
            assert_int_equal(publish.qos, 1 + m % 2);
            assert_int_equal(publish.dup, i % 2);
            if (publish.qos == 1) {
                raw_ack(&clients[i], MQTT_PUBACK, publish.packet_id);
                continue;
            }
            uint16_t packet_id = publish.packet_id;
            raw_ack(&clients[i], MQTT_PUBREC, packet_id);
        }
        for (int m = 1; m < MESSAGES; m += 2) {
            struct mqtt_frame frame = raw_receive_type(&clients[i], MQTT_PUBREL);
            uint16_t packet_id;
            assert_int_equal(mqtt_ack_decode(&frame, &packet_id), MQTT_OK);
            raw_ack(&clients[i], MQTT_PUBCOMP, packet_id);
        }
        raw_ping(&clients[i]);
        raw_disconnect(&clients[i]);
    }
    start_again(state);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(raw_connect_kept(&clients[i], broker.port, numbered("client", i, text)));
        raw_ping(&clients[i]); // nothing is left
        raw_disconnect(&clients[i]);
        raw_connect_clean(&clients[i], broker.port, numbered("client", i, text));
        raw_disconnect(&clients[i]);
    }
    broker_inside_end(&broker);
    start(state, NULL, NULL);
    assert_false(raw_connect_kept(&clients[0], broker.port, "client-0")); // its end is in the file as well
    raw_disconnect(&clients[0]);
    broker_inside_end(&broker);
}

static void what_is_in_flight_keeps_its_packet_id_and_stage(void **state)
{
    start(state, NULL, NULL);
    struct raw_client client, publisher;
    raw_connect_kept(&client, broker.port, "client");
    raw_subscribe(&client, "a", 2);
    raw_connect_clean(&publisher, broker.port, "publisher");
    raw_publish_done(&publisher, "a", "first", 2, false);
    raw_publish_done(&publisher, "a", "second", 2, false);
    raw_publish_done(&publisher, "a", "third", 1, false);
    uint16_t first = raw_expect_publish(&client, "a", "first", 2);
    uint16_t second = raw_expect_publish(&client, "a", "second", 2);
    uint16_t third = raw_expect_publish(&client, "a", "third", 1);
    raw_ack(&client, MQTT_PUBREC, first);
    raw_expect_ack(&client, MQTT_PUBREL, first);
    raw_close(&client);
    raw_disconnect(&publisher);
    start_again(state);
    raw_connect_kept(&client, broker.port, "client");
    raw_expect_ack(&client, MQTT_PUBREL, first);
    struct mqtt_publish publish = raw_receive_publish(&client);
    assert_true(publish.dup && publish.qos == 2 && publish.packet_id == second);
    publish = raw_receive_publish(&client);
    assert_true(publish.dup && publish.qos == 1 && publish.packet_id == third);
    raw_ping(&client);
    raw_disconnect(&client);
    broker_inside_end(&broker);
}

// [MQTT-4.3.3-2]: the publisher comes back and repeats its PUBLISH.
static void a_message_of_qos_2_is_received_once(void **state)
{
    start(state, NULL, NULL);
    struct raw_client client, publisher;
    raw_connect_kept(&client, broker.port, "client");
    raw_subscribe(&client, "a", 2);
    raw_disconnect(&client);
    raw_connect_kept(&publisher, broker.port, "publisher");
    RAW_SEND(&publisher, "\x34\6\0\1a\0\7x");
    raw_expect_ack(&publisher, MQTT_PUBREC, 7);
    raw_close(&publisher);
    start_again(state);
    raw_connect_kept(&publisher, broker.port, "publisher");
    RAW_SEND(&publisher, "\x3c\6\0\1a\0\7x");
    raw_expect_ack(&publisher, MQTT_PUBREC, 7);
    raw_ack(&publisher, MQTT_PUBREL, 7);
    raw_expect_ack(&publisher, MQTT_PUBCOMP, 7);
    start_again(state);
    raw_close(&publisher);
    raw_connect_kept(&client, broker.port, "client");
    uint16_t packet_id = raw_expect_publish(&client, "a", "x", 2);
    raw_ack(&client, MQTT_PUBREC, packet_id);
    raw_expect_ack(&client, MQTT_PUBREL, packet_id);
    raw_ack(&client, MQTT_PUBCOMP, packet_id);
    raw_ping(&client);
    raw_disconnect(&client);
    broker_inside_end(&broker);
}

static void retained_messages_and_their_ends_survive(void **state)
{
    start(state, NULL, NULL);
    struct raw_client client, publisher;
    raw_connect_clean(&publisher, broker.port, "publisher");
    raw_publish_done(&publisher, "kept", "old", 1, true);
    raw_publish_done(&publisher, "kept", "new", 1, true);
    raw_publish_done(&publisher, "gone", "x", 1, true);
    raw_publish_done(&publisher, "gone", "", 1, true);
    raw_publish_done(&publisher, "unsure", "zero", 0, true);
    raw_disconnect(&publisher);
    start_again(state);
    raw_connect_clean(&client, broker.port, "client");
    raw_subscribe(&client, "kept", 1);
    struct mqtt_publish publish = raw_receive_publish(&client);
    assert_true(publish.retain && publish.payload.bytes == 3 && memcmp(publish.payload.data, "new", 3) == 0);
    raw_ack(&client, MQTT_PUBACK, publish.packet_id);
    raw_subscribe(&client, "gone", 1);
    raw_ping(&client);
    raw_subscribe(&client, "unsure", 1);
    assert_true(raw_receive_publish(&client).retain);
    raw_disconnect(&client);
    broker_inside_end(&broker);
}

// Section 3.1.2.5: publication may wait until a restart.
static void a_will_is_published_when_the_broker_starts_again(void **state)
{
    start(state, NULL, NULL);
    struct raw_client watcher, client, other;
    raw_connect_kept(&watcher, broker.port, "watcher");
    raw_subscribe(&watcher, "will/#", 1);
    raw_disconnect(&watcher);
    struct mqtt_connect connect = {.clean_session = true,
                                   .has_will = true,
                                   .will_qos = 1,
                                   .client_id = mqtt_text_of("client"),
                                   .will_topic = mqtt_text_of("will/client"),
                                   .will_message = {(const uint8_t *)"gone", 4}};
    raw_connect(&client, broker.port, &connect);
    connect.client_id = mqtt_text_of("other");
    connect.will_topic = mqtt_text_of("will/other");
    raw_connect(&other, broker.port, &connect);
    raw_disconnect(&other); // discards its will
    start_again(state);
    raw_close(&client);
    raw_connect_kept(&watcher, broker.port, "watcher");
    uint16_t packet_id = raw_expect_publish(&watcher, "will/client", "gone", 1);
    raw_ack(&watcher, MQTT_PUBACK, packet_id);
    raw_ping(&watcher);
    raw_disconnect(&watcher);
    start_again(state);
    raw_connect_kept(&watcher, broker.port, "watcher");
    raw_ping(&watcher); // not again
    raw_disconnect(&watcher);
    broker_inside_end(&broker);
}

static void publish_five(void)
{
    struct raw_client client, publisher;
    char text[32];
    raw_connect_kept(&client, broker.port, "client");
    raw_subscribe(&client, "a/#", 1);
    raw_disconnect(&client);
    raw_connect_clean(&publisher, broker.port, "publisher");
    for (int i = 0; i < 5; i++)
        raw_publish_done(&publisher, numbered("a/b", i, text), text, 1, true);
    raw_disconnect(&publisher);
}

static void bounds_hold_for_what_is_restored(void **state)
{
    start(state, NULL, NULL);
    publish_five();
    broker_inside_end(&broker);
    start(state, "--max-queued-messages", "3");
    assert_int_equal(dropped(), 2);
    broker_inside_end(&broker);
    start(state, NULL, NULL); // dropped from the file as well
    assert_int_equal(dropped(), 0);
    struct broker_statistics statistics;
    broker_statistics(broker.broker, &statistics);
    assert_int_equal(statistics.retained, 5);
    broker_inside_end(&broker);
    start(state, "--max-retained-messages", "2");
    broker_statistics(broker.broker, &statistics);
    assert_int_equal(statistics.retained, 2);
    assert_int_equal(statistics.counts.dropped_retained, 3);
    struct raw_client client;
    raw_connect_kept(&client, broker.port, "client");
    for (int i = 0; i < 3; i++)
        raw_ack(&client, MQTT_PUBACK, raw_receive_publish(&client).packet_id);
    raw_ping(&client);
    raw_disconnect(&client);
    broker_inside_end(&broker);
}

static void sessions_expire_while_the_broker_is_away(void **state)
{
    start(state, NULL, NULL);
    publish_five();
    broker_inside_end(&broker);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(((struct temp_place *)*state)->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE session SET away = away - 3600", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    start(state, "--persistent-client-expiration", "59m");
    struct broker_statistics statistics;
    while (broker_statistics(broker.broker, &statistics), statistics.counts.sessions_expired == 0)
        usleep(10000); // until the next tick
    assert_int_equal(statistics.counts.sessions_expired, 1);
    assert_int_equal(statistics.counts.dropped_expired, 5);
    broker_inside_end(&broker);
    start(state, NULL, NULL);
    struct raw_client client;
    assert_false(raw_connect_kept(&client, broker.port, "client"));
    raw_disconnect(&client);
    broker_inside_end(&broker);
}

// The client got two of five when the broker ended, and a third was in its queue. It gets those again, and then all.
static void retained_messages_that_are_owed_come_after_a_restart(void **state)
{
    start(state, "--max-inflight-messages", "2");
    struct raw_client client;
    publish_five();
    raw_connect_kept(&client, broker.port, "late");
    assert_int_equal(raw_subscribe(&client, "a/#", 1), 1);
    for (int i = 0; i < 2; i++)
        assert_true(raw_receive_publish(&client).retain);
    raw_close(&client);
    broker_inside_end(&broker);
    start(state, "--max-inflight-messages", "2");
    raw_connect_kept(&client, broker.port, "late");
    int seen[5] = {0};
    for (int i = 0; i < 2 + 1 + 5; i++) {
        struct mqtt_publish publish = raw_receive_publish(&client);
        int number = publish.topic.data[publish.topic.bytes - 1] - '0';
        assert_in_range(number, 0, 4);
        seen[number]++;
        raw_ack(&client, MQTT_PUBACK, publish.packet_id);
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(seen[i], 1, 2);
    raw_ping(&client); // and nothing more
    raw_disconnect(&client);
    broker_inside_end(&broker);
}

static void payloads_that_fill_a_buffer_survive(void **state)
{
    enum { BYTES = 4080 };
    char *large = malloc(BYTES + 1);
    memset(large, 'x', BYTES);
    large[BYTES] = '\0';
    start(state, NULL, NULL);
    struct raw_client here, away, publisher;
    raw_connect_kept(&here, broker.port, "here");
    raw_subscribe(&here, "a", 1);
    raw_connect_kept(&away, broker.port, "away");
    raw_subscribe(&away, "a", 1);
    raw_disconnect(&away);
    raw_connect_clean(&publisher, broker.port, "publisher");
    raw_publish_done(&publisher, "a", large, 1, false);
    raw_ack(&here, MQTT_PUBACK, raw_expect_publish(&here, "a", large, 1));
    raw_ping(&here);
    raw_disconnect(&here);
    raw_disconnect(&publisher);
    start_again(state);
    raw_connect_kept(&away, broker.port, "away");
    raw_expect_publish(&away, "a", large, 1);
    raw_disconnect(&away);
    raw_connect_kept(&here, broker.port, "here");
    raw_ping(&here);
    raw_disconnect(&here);
    broker_inside_end(&broker);
    free(large);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static size_t read_file(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t used = fread(bytes, 1, size, file);
    fclose(file);
    return used;
}

// 0 and closed again, or the code that it cannot open with.
static int try_broker(const char *path)
{
    char *argv[] = {(char *)(uintptr_t) "poolmark-broker", (char *)(uintptr_t) "--state",
                    (char *)(uintptr_t)path};
    struct broker_config config;
    struct broker *opened;
    struct err err = {0};
    assert_int_equal(broker_config_parse(&config, 3, argv, &err), OPTS_RUN);
    int code = broker_open(&opened, &config, NULL, NULL, &err);
    if (code == 0)
        broker_close(opened);
    else
        assert_non_null(strstr(err.text, path));
    return code;
}

// Damage at random: the broker starts or refuses the file. What it refuses, it leaves as it is.
static void damage_is_refused_or_harmless(void **state)
{
    enum { ROUNDS = 300, BYTES = 1 << 18 };
    const char *path = ((const struct temp_place *)*state)->file;
    char *good = malloc(BYTES), *bad = malloc(BYTES), *after = malloc(BYTES);
    start(state, NULL, NULL);
    publish_five();
    struct raw_client client;
    raw_connect_kept(&client, broker.port, "sender");
    RAW_SEND(&client, "\x34\6\0\1a\0\7x");
    raw_expect_ack(&client, MQTT_PUBREC, 7);
    char text[1500];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 3; i++) // so that damage meets payloads as well
        raw_publish_done(&client, "a/y", text, 1, false);
    raw_close(&client);
    broker_inside_end(&broker);
    size_t size = read_file(path, good, BYTES);
    assert_in_range(size, 4096, BYTES - 1);
    uint32_t seed = 1;
    int accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(bad, good, size);
        for (uint32_t i = next_random(&seed) % 2 + 1; i > 0; i--) // most zero bytes mean nothing
            for (int tries = 0; tries < 100; tries++) {
                size_t at = next_random(&seed) % size;
                if (bad[at] == 0 && tries < 99)
                    continue;
                bad[at] = (char)next_random(&seed);
                break;
            }
        write_file(path, bad, size);
        int code = try_broker(path);
        if (code == 0) {
            accepted++;
            continue;
        }
        if (code != -EUCLEAN && code != -ENOMEM)
            fail_msg("round %d: %d", round, code);
        assert_int_equal(read_file(path, after, BYTES), size);
        assert_memory_equal(after, bad, size);
    }
    assert_in_range(accepted, 30, ROUNDS - 30);
    write_file(path, good, size);
    assert_int_equal(try_broker(path), 0);
    free(good);
    free(bad);
    free(after);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_place_set_up, temp_place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kept_sessions_of_all_loops_get_what_was_published),
        TEST(what_is_in_flight_keeps_its_packet_id_and_stage),
        TEST(a_message_of_qos_2_is_received_once),
        TEST(retained_messages_and_their_ends_survive),
        TEST(a_will_is_published_when_the_broker_starts_again),
        TEST(bounds_hold_for_what_is_restored),
        TEST(sessions_expire_while_the_broker_is_away),
        TEST(retained_messages_that_are_owed_come_after_a_restart),
        TEST(damage_is_refused_or_harmless),
        TEST(payloads_that_fill_a_buffer_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
