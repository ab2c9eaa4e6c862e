// SPDX-License-Identifier: Apache-2.0
// Against a real broker: its limits (connections, pools, descriptors, a client that does not read), its end
// by a signal, and its record.
#include "tests/broker_process.h"
#include "tests/many_clients.h"
#include "tests/raw_client.h"
#include "tests/temp_dir.h"

#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void past_max_connections_clients_get_connack_3(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-connections", "3", NULL);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 10, 1, "c");
    assert_int_equal(clients.accepted, 3);
    assert_int_equal(clients.refused, 7);
    many_clients_ping(&clients);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

static void several_threads_together_do_not_overshoot_max_connections(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-connections", "20", "--threads", "4", NULL);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 200, 200, "c");
    assert_int_equal(clients.accepted, 20);
    assert_int_equal(clients.refused, 180);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

static void a_place_that_becomes_free_is_given_again(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--max-connections", "1", NULL);
    struct raw_client first;
    raw_connect_clean(&first, process_port(broker), "first");
    raw_disconnect(&first); // waits for the broker's end of it
    struct many_clients second = {0};
    // The descriptor is closed a moment before the place is free.
    while (second.accepted == 0) {
        many_clients_connect(&second, process_port(broker), 1, 1, "second");
        assert_int_equal(second.other, 0);
        many_clients_close(&second);
    }
    assert_int_equal(process_stop(broker), 0);
}

// claims.toml, "past-the-pool": max 1000 and limit 5000, smaller where descriptors are few.
static void past_the_pool_the_heap_serves_or_the_client_is_refused(void **state)
{
    (void)state;
    int scale = many_clients_limit() >= 5200 ? 1000 : 100;
    static const char *const policies[] = {"heap", "refuse"};
    const int accepted[] = {5 * scale, scale};
    char max[16], limit[16];
    snprintf(max, sizeof max, "%d", scale);
    snprintf(limit, sizeof limit, "%d", 5 * scale);
    for (int i = 0; i < 2; i++) {
        struct process *broker =
            process_start_broker("--pool", "expand", "--initial", max, "--max", max, "--max-connections",
                                 limit, "--overflow", policies[i], NULL);
        struct many_clients clients;
        many_clients_connect(&clients, process_port(broker), 5 * scale + 50, 32, "c");
        assert_int_equal(clients.accepted, accepted[i]);
        assert_int_equal(clients.refused, 5 * scale + 50 - accepted[i]);
        many_clients_close(&clients);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void an_eager_shape_refuses_who_gets_no_buffers(void **state)
{
    (void)state;
    // A connection takes two buffers; the third client gets one of the five, and gives it back.
    struct process *broker =
        process_start_broker("--pool", "expand", "--shape", "classic", "--initial", "buffers=5", "--max",
                             "buffers=5", "--overflow", "refuse", NULL);
    struct many_clients clients, again;
    many_clients_connect(&clients, process_port(broker), 6, 1, "c");
    assert_int_equal(clients.accepted, 2);
    assert_int_equal(clients.refused, 4);
    many_clients_ping(&clients);
    many_clients_close(&clients);
    do {
        many_clients_connect(&again, process_port(broker), 1, 1, "again");
        many_clients_close(&again);
    } while (again.accepted == 0);
    assert_int_equal(process_stop(broker), 0);
}

static void a_pool_that_refuses_sessions_is_answered_by_connack_3(void **state)
{
    (void)state;
    struct process *broker =
        process_start_broker("--pool", "expand", "--shape", "lean", "--initial", "arenas=2", "--max",
                             "arenas=2", "--overflow", "refuse", NULL);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 5, 1, "c");
    assert_int_equal(clients.accepted, 2);
    assert_int_equal(clients.refused, 3);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

// The pool has room for one message, and the queue of a client that is away has it.
static void a_message_that_the_pool_refuses_is_not_acknowledged_and_may_come_again(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--pool", "messages=expand", "--initial", "messages=1",
                                                  "--max", "messages=1", "--overflow", "refuse", NULL);
    uint16_t port = process_port(broker);
    struct raw_client away, publisher;
    raw_connect_kept(&away, port, "away");
    raw_subscribe(&away, "t", 2);
    raw_disconnect(&away);
    raw_connect_kept(&publisher, port, "publisher");
    raw_publish_done(&publisher, "t", "first", 1, false);
    RAW_SEND(&publisher, "\x34\x06\x00\x01"
                         "t\x00\x07"
                         "s"); // QoS 2, packet id 7
    raw_expect_closed(&publisher);
    raw_close(&publisher);
    assert_true(raw_connect_kept(&away, port, "away"));
    raw_ack(&away, MQTT_PUBACK, raw_expect_publish(&away, "t", "first", 1));
    raw_ping(&away);
    // Sent again with DUP: it was not received, so it is not a duplicate.
    assert_true(raw_connect_kept(&publisher, port, "publisher"));
    RAW_SEND(&publisher, "\x3C\x06\x00\x01"
                         "t\x00\x07"
                         "s");
    raw_expect_ack(&publisher, MQTT_PUBREC, 7);
    uint16_t packet_id = raw_expect_publish(&away, "t", "s", 2);
    raw_ack(&away, MQTT_PUBREC, packet_id);
    raw_expect_ack(&away, MQTT_PUBREL, packet_id);
    raw_close(&publisher);
    raw_close(&away);
    assert_int_equal(process_stop(broker), 0);
}

// The broker's limit is lowered under its feet, to a few more than it has open.
static void without_descriptors_clients_are_refused_and_later_served(void **state)
{
    (void)state;
    enum { FEW = 60, CLIENTS = 150 };
    struct process *broker = process_start_broker("--threads", "2", NULL);
    struct rlimit few = {FEW, FEW};
    assert_int_equal(prlimit(process_pid(broker), RLIMIT_NOFILE, &few, NULL), 0);
    struct many_clients clients, more;
    many_clients_connect(&clients, process_port(broker), CLIENTS, 1, "c");
    assert_true(clients.accepted > 0);
    assert_true(clients.refused > 0);
    assert_int_equal(clients.accepted + clients.refused, CLIENTS);
    many_clients_ping(&clients);
    // More at once than there are descriptors in reserve: each still gets its answer.
    many_clients_connect(&more, process_port(broker), 40, 40, "m");
    assert_int_equal(more.accepted + more.refused, 40);
    many_clients_close(&more);
    many_clients_ping(&clients);
    many_clients_close(&clients);
    do {
        many_clients_connect(&more, process_port(broker), 1, 1, "later");
        assert_int_equal(more.other, 0);
        many_clients_close(&more);
    } while (more.accepted == 0);
    assert_int_equal(process_stop(broker), 0);
}

// Sends what the socket takes, and gives what is left to send.
static size_t send_some(int fd, const char *data, size_t bytes)
{
    ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? bytes - (size_t)sent : bytes;
}

// PINGREQs whose answers nobody reads fill both sockets; then the broker must stop reading. When the client
// reads, every answer comes.
static void a_client_that_does_not_read_is_not_read_from_and_loses_nothing(void **state)
{
    (void)state;
    enum { PINGS = 5000000, CHUNK = 1 << 16, STUCK_MS = 50 };
    struct process *broker = process_start_broker("--shape", "lean", NULL);
    struct raw_client client, other;
    raw_connect_clean(&client, process_port(broker), "flood");
    raw_connect_clean(&other, process_port(broker), "other");
    char *pings = malloc(CHUNK);
    assert_non_null(pings);
    for (size_t i = 0; i < CHUNK; i += 2) {
        pings[i] = (char)0xC0;
        pings[i + 1] = 0;
    }
    size_t to_send = (size_t)PINGS * 2, to_receive = (size_t)PINGS * 2;
    while (to_receive > 0) {
        // Reads only when it cannot send, so that the sockets are as full as they get (a longer wait makes
        // them fuller, and nothing else depends on it).
        struct pollfd wait = {.fd = client.fd, .events = to_send > 0 ? POLLOUT : POLLIN};
        if (poll(&wait, 1, to_send > 0 ? STUCK_MS : PROCESS_GUARD_S * 1000) == 1 && to_send > 0) {
            size_t chunk = to_send < CHUNK ? to_send : CHUNK;
            // An odd byte sent leaves half a packet: the next chunk goes on with its other half.
            size_t odd = to_send % 2;
            size_t part = chunk - odd > 0 ? chunk - odd : chunk;
            to_send -= part - send_some(client.fd, pings + odd, part);
            continue;
        }
        ssize_t got = recv(client.fd, client.data, RAW_BUFFER_BYTES, to_send > 0 ? MSG_DONTWAIT : 0);
        if (got > 0)
            to_receive -= (size_t)got;
        else
            assert_true(to_send > 0 && got < 0);
        raw_ping(&other); // the loop serves others meanwhile
    }
    raw_ping(&client);
    free(pings);
    raw_disconnect(&client);
    raw_disconnect(&other);
    assert_int_equal(process_stop(broker), 0);
}

static void many_addresses_are_listened_on(void **state)
{
    (void)state;
    struct process *broker =
        process_start_broker("--listen", "127.0.0.2:0", "--listen", "127.0.0.1:0", "--threads", "2", NULL);
    struct raw_client client;
    assert_int_not_equal(process_port_at(broker, 0), process_port_at(broker, 2));
    raw_connect_clean(&client, process_port_at(broker, 0), "a");
    raw_disconnect(&client);
    raw_connect_clean(&client, process_port_at(broker, 2), "b");
    raw_disconnect(&client);
    assert_int_equal(process_stop(broker), 0);
}

static void an_address_that_strangers_reach_is_warned_of(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--listen", "0.0.0.0:0", "--listen", "127.1.2.3:0", NULL);
    const char *errors = process_errors(broker);
    assert_non_null(strstr(errors, " 0.0.0.0:"));
    assert_non_null(strstr(errors, "there is no authentication"));
    assert_null(strstr(errors, " 127."));
    assert_int_equal(process_stop(broker), 0);
}

// Everything that can be held is held: connections, half a packet, kept sessions with queues, retained
// messages.
static void sigterm_ends_it_cleanly_whatever_it_holds(void **state)
{
    (void)state;
    static const char *const shapes[] = {"lean", "classic"};
    static const char *const strategies[] = {"malloc", "expand"};
    for (int i = 0; i < 2; i++) {
        struct process *broker =
            process_start_broker("--threads", "3", "--shape", shapes[i], "--pool", strategies[i], NULL);
        uint16_t port = process_port(broker);
        struct raw_client half, kept, publisher, subscriber;
        raw_open(&half, port);
        RAW_SEND(&half, "\x10\x0D\x00\x04MQ");
        raw_connect_kept(&kept, port, "kept");
        raw_subscribe(&kept, "#", 2);
        raw_close(&kept);
        raw_connect_clean(&publisher, port, "publisher");
        raw_connect_clean(&subscriber, port, "subscriber");
        raw_subscribe(&subscriber, "a/+", 1);
        raw_publish_done(&publisher, "a/b", "retained", 2, true);
        raw_publish_done(&publisher, "a/c", "queued", 1, false);
        raw_publish(&publisher, "a/d", "half way", 2, false);
        RAW_SEND(&publisher, "\x30\x70\x00\x03"
                             "a/e");
        assert_int_equal(process_stop(broker), 0);
        raw_close(&half);
        raw_close(&publisher);
        raw_close(&subscriber);
    }
}

static void sigusr1_prints_statistics(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--pool", "expand", NULL);
    struct raw_client client;
    raw_connect_clean(&client, process_port(broker), "c");
    process_signal(broker, SIGUSR1);
    assert_string_equal(process_wait_line(broker, "connections "),
                        "connections 1, sessions 1, subscriptions 0, retained 0");
    assert_non_null(process_wait_line(broker, "end of statistics"));
    raw_disconnect(&client);
    assert_int_equal(process_stop(broker), 0);
}

static void a_limit_of_descriptors_too_small_is_said_at_start(void **state)
{
    (void)state;
    char link[64], path[TEMP_PATH_SIZE] = {0};
    struct process *broker = process_start_broker(NULL, NULL);
    snprintf(link, sizeof link, "/proc/%d/exe", (int)process_pid(broker));
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    assert_int_equal(process_stop(broker), 0);
    const char *const arguments[] = {"-c",          "ulimit -n 500 && exec \"$0\" \"$@\"",
                                     path,          "--listen",
                                     "127.0.0.1:0", "--max-connections",
                                     "1000",        NULL};
    broker = process_start("sh", arguments);
    assert_non_null(process_wait_line(broker, "ready"));
    const char *errors = process_errors(broker);
    assert_non_null(
        strstr(errors, "--max-connections is 1000, but the limit of 500 descriptors holds about 4"));
    assert_non_null(strstr(errors, "ulimit -Hn 10"));
    assert_int_equal(process_stop(broker), 0);
}

static json_t *read_run(const char *dir)
{
    char path[TEMP_PATH_SIZE];
    json_t *run = json_load_file(temp_dir_file(dir, "run.json", path), 0, NULL);
    assert_non_null(run);
    return run;
}

static int count_lines_with(const char *text, const char *words)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, words)); at++)
        count++;
    return count;
}

static void the_record_is_whole_and_tells_each_expansion(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    temp_dir_file(dir, "record", record);
    struct process *broker =
        process_start_broker("--record", record, "--pool", "expand", "--expand", "inline", "--initial", "8",
                             "--max", "20", "--shape", "classic", NULL);
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), 25, 1, "c");
    assert_int_equal(clients.accepted, 25);
    assert_non_null(strstr(process_errors(broker), "[POOL] connections: expand 8->12 (trigger at 6 of 8)\n"));
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);

    json_t *run = read_run(record);
    assert_string_equal(json_string_value(json_object_get(run, "kind")), "broker");
    assert_string_equal(json_string_value(json_object_get(run, "status")), "complete");
    json_t *config = json_object_get(run, "config");
    assert_string_equal(json_string_value(json_object_get(config, "shape")), "classic");
    json_t *accepted = json_object_get(json_object_get(run, "metrics"), "broker.connections_accepted");
    assert_true(json_number_value(json_object_get(accepted, "value")) == 25);
    json_decref(run);
    char *pools = temp_file_read(temp_dir_file(record, "pools.csv", path));
    char *events = temp_file_read(temp_dir_file(record, "events.csv", path));
    assert_int_equal(strncmp(pools, "at_ns,pool,strategy,object_bytes,owned,in_use,", 46), 0);
    assert_true(count_lines_with(pools, ",connections,expand,3072,") >= 2);
    assert_int_equal(strncmp(events, "at_ns,pool,event,from,to,trigger,duration_ns\n", 45), 0);
    assert_int_equal(count_lines_with(events, ",connections,expand,8,12,6,"), 1);
    assert_int_equal(count_lines_with(events, ",connections,expand,12,18,9,"), 1);
    assert_int_equal(count_lines_with(events, ",connections,expand,18,20,14,"), 1);
    free(pools);
    free(events);
    temp_dir_remove(dir);
}

static void a_broker_that_cannot_start_says_why_and_fails_its_record(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], address[32];
    temp_dir_make(dir);
    temp_dir_file(dir, "record", record);
    struct process *first = process_start_broker("--threads", "2", NULL);
    snprintf(address, sizeof address, "127.0.0.1:%u", process_port(first));
    for (int threads = 1; threads <= 2; threads++) {
        const char *const arguments[] = {"--listen", address, "--threads", threads == 1 ? "1" : "2",
                                         "--record", record,  NULL};
        struct process *second = process_start("poolmark-broker", arguments);
        assert_null(process_wait_line(second, "ready"));
        assert_non_null(strstr(process_errors(second), address));
        assert_int_equal(process_wait(second), 1);
        json_t *run = read_run(record);
        assert_string_equal(json_string_value(json_object_get(run, "status")), "failed");
        json_decref(run);
        temp_dir_remove(record);
    }
    assert_int_equal(process_stop(first), 0);
    temp_dir_remove(dir);
}

static void a_wrong_command_line_ends_with_2_and_writes_nothing(void **state)
{
    (void)state;
    char dir[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    temp_dir_file(dir, "record", record);
    const char *const arguments[] = {"--record", record, "--pool", "no-such", NULL};
    assert_int_equal(process_run("poolmark-broker", arguments, NULL), 2);
    assert_null(temp_file_read(temp_dir_file(record, "run.json", path)));
    temp_dir_remove(dir);
}

// The client's connections come to one thread or another; its session stays where it was made.
static void a_client_that_comes_back_on_any_thread_finds_its_session(void **state)
{
    (void)state;
    enum { ROUNDS = 24 };
    struct process *broker = process_start_broker("--threads", "4", NULL);
    struct raw_client client[2], publisher;
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    assert_false(raw_connect_kept(&client[0], process_port(broker), "wanderer"));
    raw_subscribe(&client[0], "a/b", 1);
    for (int i = 1; i < ROUNDS; i++) {
        // Takes the id over from the one before, which is closed.
        assert_true(raw_connect_kept(&client[i % 2], process_port(broker), "wanderer"));
        raw_expect_closed(&client[(i + 1) % 2]);
        raw_close(&client[(i + 1) % 2]);
        raw_publish_done(&publisher, "a/b", "where are you", 1, false);
        raw_ack(&client[i % 2], MQTT_PUBACK, raw_expect_publish(&client[i % 2], "a/b", "where are you", 1));
        raw_ping(&client[i % 2]);
    }
    raw_disconnect(&client[(ROUNDS - 1) % 2]);
    raw_disconnect(&publisher);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(past_max_connections_clients_get_connack_3),
        cmocka_unit_test(several_threads_together_do_not_overshoot_max_connections),
        cmocka_unit_test(a_place_that_becomes_free_is_given_again),
        cmocka_unit_test(past_the_pool_the_heap_serves_or_the_client_is_refused),
        cmocka_unit_test(an_eager_shape_refuses_who_gets_no_buffers),
        cmocka_unit_test(a_pool_that_refuses_sessions_is_answered_by_connack_3),
        cmocka_unit_test(a_message_that_the_pool_refuses_is_not_acknowledged_and_may_come_again),
        cmocka_unit_test(without_descriptors_clients_are_refused_and_later_served),
        cmocka_unit_test(a_client_that_does_not_read_is_not_read_from_and_loses_nothing),
        cmocka_unit_test(many_addresses_are_listened_on),
        cmocka_unit_test(an_address_that_strangers_reach_is_warned_of),
        cmocka_unit_test(sigterm_ends_it_cleanly_whatever_it_holds),
        cmocka_unit_test(sigusr1_prints_statistics),
        cmocka_unit_test(a_limit_of_descriptors_too_small_is_said_at_start),
        cmocka_unit_test(the_record_is_whole_and_tells_each_expansion),
        cmocka_unit_test(a_broker_that_cannot_start_says_why_and_fails_its_record),
        cmocka_unit_test(a_wrong_command_line_ends_with_2_and_writes_nothing),
        cmocka_unit_test(a_client_that_comes_back_on_any_thread_finds_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
