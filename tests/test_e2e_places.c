// SPDX-License-Identifier: Apache-2.0
// Against a real broker: places that are taken without being used come back. Silent connections make room,
// addresses have a bound, and kept sessions end.
#include "tests/broker_process.h"
#include "tests/many_clients.h"
#include "tests/raw_client.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
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

// A client connects again and again until it is let in. The bound is run-tests'.
static void connect_until_accepted(struct many_clients *clients, uint16_t port, int count, const char *prefix)
{
    for (;;) {
        many_clients_connect(clients, port, count, count, prefix);
        if (clients->accepted == count)
            return;
        many_clients_close(clients);
        usleep(50000);
    }
}

static void silent_connections_leave_their_places_to_others(void **state)
{
    (void)state;
    enum { PLACES = 10, SILENT = 9 };
    struct process *broker = process_start_broker("--max-connections", "10", NULL);
    struct raw_client first, silent[SILENT];
    struct many_clients clients, more;
    raw_connect_clean(&first, process_port(broker), "first");
    for (int i = 0; i < SILENT; i++)
        raw_open(&silent[i], process_port(broker));
    RAW_SEND(&silent[0], "\x10\x40"); // a CONNECT that never comes whole
    connect_until_accepted(&clients, process_port(broker), SILENT, "c");
    for (int i = 0; i < SILENT; i++) {
        raw_expect_closed(&silent[i]);
        raw_close(&silent[i]);
    }
    many_clients_connect(&more, process_port(broker), 1, 1, "more");
    assert_int_equal(more.refused, 1); // no client with a session makes room
    many_clients_close(&more);
    raw_ping(&first);
    many_clients_ping(&clients);
    many_clients_close(&clients);
    raw_disconnect(&first);
    assert_true(process_statistic(broker, "closed_silent") >= SILENT); // more where a client of ours was slow
    assert_int_equal(process_stop(broker), 0);
}

// All places are taken by connections that came just now and say nothing. The oldest of so many do not keep anybody out for a
// moment: each client gets in at its first try.
static void a_crowd_of_silent_connections_refuses_nobody(void **state)
{
    (void)state;
    enum { PLACES = 600, CLIENTS = 50 };
    struct process *broker = process_start_broker("--max-connections", "600", "--threads", "1", NULL);
    struct many_clients clients;
    int silent[PLACES];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(process_port(broker))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(many_clients_limit() > PLACES + 2 * CLIENTS);
    for (int i = 0; i < PLACES; i++) {
        silent[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(silent[i], (struct sockaddr *)&to, sizeof to), 0);
    }
    many_clients_connect(&clients, process_port(broker), CLIENTS, 1, "c");
    assert_int_equal(clients.accepted, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        char byte;
        assert_true(recv(silent[i], &byte, 1, 0) <= 0); // the oldest
    }
    many_clients_ping(&clients);
    many_clients_close(&clients);
    for (int i = 0; i < PLACES; i++)
        close(silent[i]);
    assert_int_equal(process_statistic(broker, "refused_limit"), 0);
    assert_int_equal(process_stop(broker), 0);
}

// The broker's limit is lowered under its feet, and every descriptor is taken by a connection without a CONNECT.
static void silent_connections_do_not_keep_every_descriptor(void **state)
{
    (void)state;
    enum { FEW = 50, SILENT = 60, CLIENTS = 20 };
    struct process *broker = process_start_broker("--threads", "1", NULL);
    struct rlimit few = {FEW, FEW};
    struct raw_client silent[SILENT];
    struct many_clients clients;
    assert_int_equal(prlimit(process_pid(broker), RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < SILENT; i++)
        raw_open(&silent[i], process_port(broker));
    connect_until_accepted(&clients, process_port(broker), CLIENTS, "c");
    many_clients_ping(&clients);
    many_clients_close(&clients);
    for (int i = 0; i < SILENT; i++)
        raw_close(&silent[i]);
    process_stop_saying(broker, "their CONNECT had not come");
}

// Connects from `source`, and gives the return code of the CONNACK.
static int connect_from(struct raw_client *client, const char *source, uint16_t port, const char *id)
{
    struct mqtt_connect connect_packet = {.clean_session = true, .client_id = mqtt_text_of(id)};
    uint8_t packet[64], answer[4];
    raw_open_from(client, source, port);
    int bytes = mqtt_connect_encode(packet, sizeof packet, &connect_packet);
    assert_true(bytes > 0);
    raw_send(client, packet, (size_t)bytes);
    assert_int_equal(recv(client->fd, answer, sizeof answer, MSG_WAITALL), 4);
    return answer[3];
}

static void an_address_has_so_many_connections_and_no_more(void **state)
{
    (void)state;
    struct process *broker =
        process_start_broker("--max-connections-per-address", "2", "--threads", "2", NULL);
    uint16_t port = process_port(broker);
    struct raw_client a, b, refused, other, again;
    assert_int_equal(connect_from(&a, "127.0.0.5", port, "a"), 0);
    assert_int_equal(connect_from(&b, "127.0.0.5", port, "b"), 0);
    assert_int_equal(connect_from(&refused, "127.0.0.5", port, "refused"), MQTT_REFUSED_UNAVAILABLE);
    assert_int_equal(connect_from(&other, "127.0.0.6", port, "other"), 0);
    raw_close(&refused);
    raw_disconnect(&a); // waits until the broker has closed its end
    assert_int_equal(connect_from(&again, "127.0.0.5", port, "again"), 0);
    raw_disconnect(&b);
    raw_disconnect(&again);
    raw_disconnect(&other);
    assert_int_equal(process_statistic(broker, "refused_address"), 1);
    assert_int_equal(process_stop(broker), 0);
}

// A session whose client is there does not end; one whose client is away does, and what it loses is told.
static void kept_sessions_end_when_their_clients_stay_away(void **state)
{
    (void)state;
    struct process *broker =
        process_start_broker("--persistent-client-expiration", "100ms", "--threads", "2", NULL);
    struct raw_client here, away, publisher;
    raw_connect_kept(&here, process_port(broker), "here");
    assert_false(raw_connect_kept(&away, process_port(broker), "away"));
    assert_int_equal(raw_subscribe(&away, "t", 1), 1);
    // A second connection takes over: the session was never without one.
    struct raw_client first = away;
    assert_true(raw_connect_kept(&away, process_port(broker), "away"));
    raw_close(&first);
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    raw_publish_done(&publisher, "t", "x", 1, false);
    raw_expect_publish(&away, "t", "x", 1);
    raw_close(&away); // without the PUBACK
    while (process_statistic(broker, "sessions_expired") < 1)
        usleep(50000);
    assert_int_equal(process_statistic(broker, "dropped_expired"), 1);
    assert_false(raw_connect_kept(&away, process_port(broker), "away"));
    raw_ping(&here);
    struct raw_client taken_over = here;
    assert_true(raw_connect_kept(&here, process_port(broker), "here"));
    raw_close(&taken_over);
    raw_disconnect(&publisher);
    raw_close(&away);
    raw_close(&here);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_connections_leave_their_places_to_others),
        cmocka_unit_test(a_crowd_of_silent_connections_refuses_nobody),
        cmocka_unit_test(silent_connections_do_not_keep_every_descriptor),
        cmocka_unit_test(an_address_has_so_many_connections_and_no_more),
        cmocka_unit_test(kept_sessions_end_when_their_clients_stay_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
