// SPDX-License-Identifier: Apache-2.0
// Against a real broker: the bounds of its memory. Each test reaches one bound. The broker must stay below
// it, refuse by an MQTT answer where there is one, count the refusal, and go on.
#include "tests/broker_process.h"
#include "tests/many_clients.h"
#include "tests/raw_client.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

// Sends a PUBLISH of any size with packet id 1.
static void publish_bytes(struct raw_client *client, const char *topic, size_t payload_bytes, uint8_t qos,
                          bool retain)
{
    size_t size = payload_bytes + strlen(topic) + 16;
    uint8_t *payload = calloc(1, payload_bytes), *packet = malloc(size);
    assert_true(payload && packet);
    struct mqtt_publish publish = {.qos = qos,
                                   .retain = retain,
                                   .packet_id = qos ? 1 : 0,
                                   .topic = mqtt_text_of(topic),
                                   .payload = {payload, payload_bytes}};
    int bytes = mqtt_publish_encode(packet, size, &publish);
    assert_true(bytes > 0);
    raw_send(client, packet, (size_t)bytes);
    free(payload);
    free(packet);
}

static void ids_too_long_for_the_pool_are_bounded_by_its_max_too(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--pool", "expand", "--shape", "lean", "--max", "arenas=5",
                                                  "--overflow", "refuse", NULL);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 20, 1, "an-id-of-about-forty-characters-in-all-");
    assert_int_equal(clients.accepted, 5);
    assert_int_equal(clients.refused, 15);
    many_clients_ping(&clients);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

static void messages_too_large_for_the_pool_are_bounded_by_its_max_too(void **state)
{
    (void)state;
    struct process *broker =
        process_start_broker("--pool", "expand", "--max", "messages=5", "--overflow", "refuse", NULL);
    int taken = 0;
    for (int i = 0; i < 20; i++) {
        char topic[16], id[16];
        struct raw_client client;
        snprintf(topic, sizeof topic, "t/%d", i);
        snprintf(id, sizeof id, "c%d", i);
        raw_connect_clean(&client, process_port(broker), id);
        publish_bytes(&client, topic, 600, 1, true);
        taken += raw_try_receive(&client, MQTT_PUBACK);
        raw_close(&client);
    }
    assert_int_equal(taken, 5);
    assert_int_equal(process_statistic(broker, "dropped_no_memory"), 15);
    process_stop_saying(broker, "messages dropped: no memory");
}

// A line of /proc/PID/status that is in KiB: "VmRSS", "VmHWM" (the highest).
static int64_t status_bytes(pid_t pid, const char *name)
{
    char path[64], line[256];
    long long kib = -1;
    size_t bytes = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (kib < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, bytes) == 0)
            sscanf(line + bytes, ": %lld kB", &kib);
    fclose(file);
    assert_true(kib > 0);
    return kib * 1024;
}

// Four hundred messages of a mebibyte for a subscriber that reads none.
static void a_subscriber_that_does_not_read_costs_no_more_than_its_queue(void **state)
{
    (void)state;
    enum { MESSAGES = 400, MIB = 1 << 20 };
    struct process *broker = process_start_broker("--max-queued-bytes", "4MiB", NULL);
    struct raw_client slow, publisher;
    raw_connect_clean(&slow, process_port(broker), "slow");
    assert_int_equal(setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
    assert_int_equal(raw_subscribe(&slow, "t", 1), 1);
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    for (int i = 0; i < MESSAGES; i++)
        publish_bytes(&publisher, "t", MIB, 0, false);
    raw_ping(&publisher);
    assert_in_range(process_statistic(broker, "memory_messages"), 1, 6 * MIB);
    // The sockets hold some; the queue four at most.
    assert_in_range(process_statistic(broker, "dropped_queue_full"), MESSAGES / 2, MESSAGES);
    if (!IS_SANITIZED) // whose heaps keep what was freed
        assert_in_range(status_bytes(process_pid(broker), "VmRSS"), 1, 64 * MIB);
    raw_close(&slow);
    raw_disconnect(&publisher);
    process_stop_saying(broker, "messages dropped: a client's queue is full");
}

// What is acknowledged at QoS 1 for a client that is away is kept, as many as for one that is here.
static void a_queue_is_as_long_for_a_client_that_is_away(void **state)
{
    (void)state;
    static const char *const most[] = {"65536", "100"};
    const int kept[] = {5000, 100};
    for (int round = 0; round < 2; round++) {
        struct process *broker = process_start_broker("--max-queued-messages", most[round], NULL);
        struct raw_client away, publisher;
        raw_connect_kept(&away, process_port(broker), "away");
        raw_subscribe(&away, "t", 1);
        raw_disconnect(&away);
        raw_connect_clean(&publisher, process_port(broker), "publisher");
        for (int i = 0; i < 5000; i++)
            raw_publish_done(&publisher, "t", "x", 1, false);
        assert_true(raw_connect_kept(&away, process_port(broker), "away"));
        for (int i = 0; i < kept[round]; i++)
            raw_ack(&away, MQTT_PUBACK, raw_expect_publish(&away, "t", "x", 1));
        raw_ping(&away);
        assert_int_equal(process_statistic(broker, "dropped_queue_full"), 5000 - kept[round]);
        raw_disconnect(&away);
        raw_disconnect(&publisher);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void the_window_is_as_wide_as_it_is_told(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-inflight-messages", "3", NULL);
    struct raw_client client;
    raw_connect_clean(&client, process_port(broker), "c");
    uint16_t ids[3];
    assert_int_equal(raw_subscribe(&client, "u", 1), 1);
    for (int i = 0; i < 4; i++) {
        struct raw_client other;
        raw_connect_clean(&other, process_port(broker), "other");
        raw_publish_done(&other, "u", "y", 1, false);
        raw_disconnect(&other);
    }
    for (int i = 0; i < 3; i++)
        ids[i] = raw_expect_publish(&client, "u", "y", 1);
    raw_ping(&client); // the fourth does not come before one is acknowledged
    raw_ack(&client, MQTT_PUBACK, ids[0]);
    raw_expect_publish(&client, "u", "y", 1);
    raw_close(&client);
    assert_int_equal(process_stop(broker), 0);
}

// Retained messages until the limit: it is not passed, what is past it is not acknowledged, and clients can
// still come and take away what is there.
static void at_the_memory_limit_work_is_refused_and_the_rest_goes_on(void **state)
{
    (void)state;
    enum { LIMIT = 8 << 20, MESSAGES = 12000 };
    struct process *broker = process_start_broker("--memory-limit", "8MiB", "--threads", "2", NULL);
    struct raw_client client, other;
    int kept = 0;
    raw_connect_clean(&client, process_port(broker), "client");
    for (bool is_taken = true; kept < MESSAGES && is_taken; kept += is_taken) {
        char topic[16];
        snprintf(topic, sizeof topic, "t/%d", kept);
        publish_bytes(&client, topic, 1000, 1, true);
        is_taken = raw_try_receive(&client, MQTT_PUBACK);
    }
    raw_close(&client);
    assert_in_range(kept, 100, MESSAGES - 1);
    assert_in_range(process_statistic(broker, "memory"), LIMIT / 2, LIMIT);
    assert_true(process_statistic(broker, "closed_no_memory") > 0);
    raw_connect_clean(&other, process_port(broker), "other");
    int code = 0;
    for (int i = 0; i < 10000 && code != MQTT_SUBACK_FAILURE; i++) {
        char filter[32];
        snprintf(filter, sizeof filter, "no/such/%d", i);
        code = raw_subscribe(&other, filter, 0);
    }
    assert_int_equal(code, MQTT_SUBACK_FAILURE);
    for (int i = 0; i < kept; i++) { // an empty message takes the retained one away
        char topic[16];
        snprintf(topic, sizeof topic, "t/%d", i);
        publish_bytes(&other, topic, 0, 0, true);
    }
    raw_ping(&other);
    assert_in_range(process_statistic(broker, "memory_messages"), 0, 4096);
    assert_int_equal(raw_subscribe(&other, "again", 0), 0);
    raw_disconnect(&other);
    process_stop_saying(broker, "messages dropped: no memory, or --memory-limit");
}

static void a_client_that_the_memory_limit_refuses_gets_connack_3(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--memory-limit", "1MiB", "--shape", "classic", NULL);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 200, 1, "c");
    assert_in_range(clients.accepted, 10, 62); // of about 17 KiB each
    assert_int_equal(clients.refused, 200 - clients.accepted);
    many_clients_ping(&clients);
    assert_int_equal(process_statistic(broker, "refused_memory"), clients.refused);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

static void topics_of_too_many_levels_are_refused(void **state)
{
    (void)state;
    char fits[400] = "a", deep[402];
    struct process *broker = process_start_broker(NULL, NULL);
    struct raw_client client;
    for (int i = 1; i < 200; i++)
        strcat(fits, "/a");
    snprintf(deep, sizeof deep, "%s/a", fits);
    raw_connect_clean(&client, process_port(broker), "c");
    assert_int_equal(raw_subscribe(&client, fits, 0), 0);
    assert_int_equal(raw_subscribe(&client, deep, 0), MQTT_SUBACK_FAILURE);
    raw_publish(&client, fits, "x", 0, false);
    raw_expect_publish(&client, fits, "x", 0);
    raw_publish(&client, deep, "x", 0, false);
    raw_expect_closed(&client);
    raw_close(&client);
    assert_int_equal(process_statistic(broker, "closed_topic_levels"), 1);
    process_stop_saying(broker, "a topic of more levels than --max-topic-levels");
}

// A packet larger than the bound is refused by its header, before any of it is kept; and said.
static void packets_that_are_too_large_are_refused_and_said(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-packet-size", "64KiB", NULL);
    struct raw_client client;
    raw_connect_clean(&client, process_port(broker), "c");
    publish_bytes(&client, "t", 60000, 1, false);
    raw_expect_ack(&client, MQTT_PUBACK, 1);
    RAW_SEND(&client, "\x30\x81\x80\x04"); // PUBLISH of 65 537 bytes and its header
    raw_expect_closed(&client);
    raw_close(&client);
    assert_int_equal(process_statistic(broker, "closed_packet_size"), 1);
    process_stop_saying(broker, "connections closed: a packet larger than --max-packet-size");
}

static void a_connect_of_more_bytes_than_there_can_be_is_refused(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct raw_client client;
    raw_open(&client, process_port(broker));
    RAW_SEND(&client, "\x10\x80\x80\x20"); // 512 KiB
    raw_expect_closed(&client);
    raw_close(&client);
    assert_int_equal(process_stop(broker), 0);
}

static struct process *broker_with(const char *option, const char *value)
{
    return process_start_broker(option, value, NULL);
}

// A client publishes; the PUBACK comes, or the connection ends without one.
static bool is_acknowledged(struct process *broker, const char *topic, size_t bytes, bool retain)
{
    struct raw_client client;
    raw_connect_clean(&client, process_port(broker), "publisher");
    publish_bytes(&client, topic, bytes, 1, retain);
    bool is_taken = raw_try_receive(&client, MQTT_PUBACK);
    raw_close(&client);
    return is_taken;
}

static bool is_let_in(struct process *broker, const struct mqtt_connect *connect)
{
    struct raw_client client;
    uint8_t packet[4096];
    int bytes = mqtt_connect_encode(packet, sizeof packet, connect);
    assert_true(bytes > 0);
    raw_open(&client, process_port(broker));
    raw_send(&client, packet, (size_t)bytes);
    bool is_in = raw_try_receive(&client, MQTT_CONNACK);
    raw_close(&client);
    return is_in;
}

// How many retained messages a new subscription to everything brings, before the answer to a PINGREQ.
static int count_retained(struct process *broker)
{
    struct raw_client client;
    int count = 0;
    raw_connect_clean(&client, process_port(broker), "reader");
    assert_int_equal(raw_subscribe(&client, "#", 0), 0);
    RAW_SEND(&client, "\xC0\x00");
    while (raw_receive(&client).type == MQTT_PUBLISH)
        count++;
    raw_disconnect(&client);
    return count;
}

static struct mqtt_connect with_will(const void *payload, size_t bytes, bool retain)
{
    return (struct mqtt_connect){.clean_session = true,
                                 .has_will = true,
                                 .will_retain = retain,
                                 .client_id = mqtt_text_of("c"),
                                 .will_topic = mqtt_text_of("w"),
                                 .will_message = {payload, bytes}};
}

static void a_payload_past_its_limit_is_not_acknowledged(void **state)
{
    (void)state;
    static const char payload[1001];
    struct process *broker = broker_with("--message-size-limit", "1000");
    assert_true(is_acknowledged(broker, "t", 1000, false));
    assert_false(is_acknowledged(broker, "t", 1001, false));
    struct mqtt_connect fits = with_will(payload, 1000, false), too_large = with_will(payload, 1001, false);
    assert_true(is_let_in(broker, &fits));
    assert_false(is_let_in(broker, &too_large));
    assert_int_equal(process_statistic(broker, "closed_message_size"), 2);
    assert_int_equal(process_stop(broker), 0);
}

static void without_retained_messages_retain_closes(void **state)
{
    (void)state;
    struct process *broker = broker_with("--retain-available", "false");
    assert_true(is_acknowledged(broker, "t", 10, false));
    assert_false(is_acknowledged(broker, "t", 10, true));
    struct mqtt_connect without = with_will("x", 1, false), with = with_will("x", 1, true);
    assert_true(is_let_in(broker, &without));
    assert_false(is_let_in(broker, &with));
    assert_int_equal(process_statistic(broker, "closed_retain"), 2);
    assert_int_equal(count_retained(broker), 0);
    assert_int_equal(process_stop(broker), 0);
}

static void past_the_bounds_of_retained_messages_a_new_one_is_not_acknowledged(void **state)
{
    (void)state;
    static const char *const options[][2] = {{"--max-retained-messages", "3"},
                                             {"--max-retained-bytes", "3500"}};
    for (int i = 0; i < 2; i++) {
        struct process *broker = broker_with(options[i][0], options[i][1]);
        assert_true(is_acknowledged(broker, "a", 1000, true));
        assert_true(is_acknowledged(broker, "b", 1000, true));
        assert_true(is_acknowledged(broker, "c", 1000, true));
        assert_false(is_acknowledged(broker, "d", 1000, true));
        assert_true(is_acknowledged(broker, "d", 1000, false));
        assert_true(is_acknowledged(broker, "a", 900, true));
        assert_true(is_acknowledged(broker, "b", 0, true)); // forgets the one before
        assert_true(is_acknowledged(broker, "d", 1000, true));
        assert_int_equal(count_retained(broker), 3);
        assert_int_equal(process_statistic(broker, "dropped_retained"), 1);
        assert_int_equal(process_statistic(broker, "closed_retained_full"), 1);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void filters_after_the_most_are_refused_by_their_return_code(void **state)
{
    (void)state;
    struct process *broker = broker_with("--max-filters", "2");
    struct raw_client client;
    raw_connect_clean(&client, process_port(broker), "c");
    RAW_SEND(&client, "\x82\x0e\x00\x07\x00\x01"
                      "a\x00\x00\x01"
                      "b\x01\x00\x01"
                      "c\x02");
    RAW_EXPECT(&client, "\x90\x05\x00\x07\x00\x01\x80");
    RAW_SEND(&client, "\xa2\x0b\x00\x08\x00\x01"
                      "a\x00\x01"
                      "b\x00\x01"
                      "c");
    RAW_EXPECT(&client, "\xb0\x02\x00\x08");
    raw_disconnect(&client);
    assert_int_equal(process_statistic(broker, "subscriptions_refused"), 1);
    assert_int_equal(process_stop(broker), 0);
}

// Publishes 100 000 bytes at a time until two are not taken. How many were.
static int fill(struct process *broker, const char *begins, bool retain)
{
    int taken = 0;
    for (int misses = 0; misses < 2 && taken < 2000; taken++) {
        char topic[16];
        snprintf(topic, sizeof topic, "%s/%d", begins, taken);
        misses += !is_acknowledged(broker, topic, 100000, retain);
    }
    return taken;
}

// What is printed is held: retained messages until their three quarters are full, then messages for a client that
// is away until nothing more is taken.
static void the_bound_that_is_printed_is_held(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    struct process *broker = broker_with("--memory-limit", "48MiB");
    double told_mib = -1;
    const char *told = strstr(process_errors(broker), "memory is bounded by ");
    assert_non_null(told);
    assert_int_equal(sscanf(told, "memory is bounded by %lf MiB", &told_mib), 1);
    assert_true(told_mib > 48 && told_mib < 100);
    struct raw_client away;
    raw_connect_kept(&away, process_port(broker), "away");
    assert_int_equal(raw_subscribe(&away, "q/#", 1), 1);
    raw_disconnect(&away);
    int taken = fill(broker, "t", true);
    assert_in_range(process_statistic(broker, "memory"), 32 * MIB, 36 * MIB + 200 * 1024);
    taken += fill(broker, "q", false);
    assert_in_range(taken, 300, 1000);
    assert_in_range(process_statistic(broker, "memory"), 40 * MIB, 48 * MIB);
    if (!IS_SANITIZED)
        assert_in_range(status_bytes(process_pid(broker), "VmHWM"), 1, (int64_t)(told_mib * MIB));
    assert_int_equal(process_stop(broker), 0);
}

// Announces a PUBLISH and sends most of it, as far as the broker takes it.
static void begin_publish(struct raw_client *client, size_t announced, size_t bytes)
{
    uint8_t *packet = calloc(1, bytes);
    assert_non_null(packet);
    packet[0] = 0x30;
    for (int i = 1; i <= 4; i++)
        packet[i] = (uint8_t)((announced >> 7 * (i - 1) & 127) | (i < 4 ? 128 : 0));
    packet[6] = 1; // the length of the topic
    packet[7] = 't';
    size_t sent = 0;
    for (ssize_t n = 1; n > 0 && sent<bytes; sent += n> 0 ? (size_t)n : 0)
        n = send(client->fd, packet + sent, bytes - sent, MSG_NOSIGNAL);
    free(packet);
}

static void unfinished_packets_leave_half_of_the_memory_to_others(void **state)
{
    (void)state;
    enum { MIB = 1 << 20, CLIENTS = 40, ANNOUNCED = 3 * MIB, SENT = ANNOUNCED - 65536, HELD = 24 * MIB };
    struct process *broker = broker_with("--memory-limit", "48MiB");
    struct raw_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        char id[24];
        snprintf(id, sizeof id, "slow-%d", i);
        raw_connect_clean(&clients[i], process_port(broker), id);
        begin_publish(&clients[i], ANNOUNCED, SENT);
    }
    // All that cannot be held are closed.
    while (process_statistic(broker, "closed_no_memory") < CLIENTS - HELD / ANNOUNCED)
        usleep(1000);
    assert_in_range(process_statistic(broker, "memory_unfinished"), MIB, HELD);
    assert_true(is_acknowledged(broker, "t", 1000, true));
    for (int i = 0; i < CLIENTS; i++)
        raw_close(&clients[i]);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_too_long_for_the_pool_are_bounded_by_its_max_too),
        cmocka_unit_test(messages_too_large_for_the_pool_are_bounded_by_its_max_too),
        cmocka_unit_test(a_subscriber_that_does_not_read_costs_no_more_than_its_queue),
        cmocka_unit_test(a_queue_is_as_long_for_a_client_that_is_away),
        cmocka_unit_test(the_window_is_as_wide_as_it_is_told),
        cmocka_unit_test(at_the_memory_limit_work_is_refused_and_the_rest_goes_on),
        cmocka_unit_test(a_client_that_the_memory_limit_refuses_gets_connack_3),
        cmocka_unit_test(unfinished_packets_leave_half_of_the_memory_to_others),
        cmocka_unit_test(topics_of_too_many_levels_are_refused),
        cmocka_unit_test(packets_that_are_too_large_are_refused_and_said),
        cmocka_unit_test(a_connect_of_more_bytes_than_there_can_be_is_refused),
        cmocka_unit_test(a_payload_past_its_limit_is_not_acknowledged),
        cmocka_unit_test(without_retained_messages_retain_closes),
        cmocka_unit_test(past_the_bounds_of_retained_messages_a_new_one_is_not_acknowledged),
        cmocka_unit_test(filters_after_the_most_are_refused_by_their_return_code),
        cmocka_unit_test(the_bound_that_is_printed_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
