// SPDX-License-Identifier: Apache-2.0
// The census counts connections, not ports: one that has the ports of an earlier one is another.
#include "loadgen/census.h"

#include "base/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    struct census *census;
    struct plan_target target;
    int listener, client, server;
    uint16_t port; // of the client; 0: any
};

static void visit_row(void *context, const struct sockdiag_row *row)
{
    bool *found = context;
    *found = *found || row->peer.port != 0;
}

// A client in TIME-WAIT has the port of a listener that is closed, and the kernel gives that port again.
static bool has_connections(uint16_t port)
{
    bool found = false;
    assert_int_equal(sockdiag_list((struct sockdiag_ports){port, port}, visit_row, &found), 0);
    return found;
}

static int listen_at_an_unused_port(struct sockaddr_in *address)
{
    for (;;) {
        socklen_t bytes = sizeof *address;
        *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (struct sockaddr *)address, bytes), 0);
        assert_int_equal(listen(listener, 5), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)address, &bytes), 0);
        if (!has_connections(ntohs(address->sin_port)))
            return listener;
        close(listener);
    }
}

static int set_up(void **state)
{
    static struct scene scene;
    scene = (struct scene){.client = -1, .server = -1};
    struct sockaddr_in address;
    scene.listener = listen_at_an_unused_port(&address);
    memcpy(&scene.target.address, &address, sizeof address);
    scene.target.address_bytes = sizeof address;
    struct plan plan = {.target_count = 1, .targets = &scene.target};
    assert_int_equal(census_open(&scene.census, &plan, 0, getpid()), 0);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    census_close(scene->census);
    close(scene->listener);
    if (scene->client >= 0)
        close(scene->client);
    if (scene->server >= 0)
        close(scene->server);
    return 0;
}

static const struct census_own none; // connections of this run

static struct census_reading take(const struct scene *scene)
{
    struct census_reading reading;
    census_take(scene->census, NULL, 0, &none, &reading);
    return reading;
}

// From the port of the client before, if there was one. While the kernel has not yet ended that one, it refuses.
static void client_comes(struct scene *scene)
{
    struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(scene->port)};
    socklen_t bytes = sizeof own;
    int on = 1, code;
    do {
        scene->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(setsockopt(scene->client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        assert_int_equal(bind(scene->client, (struct sockaddr *)&own, sizeof own), 0);
        code = connect(scene->client, (struct sockaddr *)&scene->target.address, scene->target.address_bytes);
        if (code < 0) {
            assert_true(errno == ECONNREFUSED || errno == EADDRNOTAVAIL);
            close(scene->client);
        }
    } while (code < 0);
    scene->server = accept(scene->listener, NULL, NULL);
    assert_true(scene->server >= 0);
    assert_int_equal(getsockname(scene->client, (struct sockaddr *)&own, &bytes), 0);
    scene->port = ntohs(own.sin_port);
}

// The server ends first and keeps the ports in TIME-WAIT, so that the client's are free at once.
static void client_leaves(struct scene *scene)
{
    char byte;
    close(scene->server);
    assert_int_equal(recv(scene->client, &byte, 1, 0), 0);
    close(scene->client);
    scene->server = scene->client = -1;
}

static void test_a_connection_counts_once(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(take(scene).at_target, 0);
    client_comes(scene);
    assert_int_equal(take(scene).at_target, 1);
    assert_int_equal(take(scene).at_target, 1);
    client_leaves(scene);
    assert_int_equal(take(scene).at_target, 1); // in TIME-WAIT
}

static void test_ports_that_a_later_connection_has_again_are_another_connection(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(take(scene).at_target, 0);
    client_comes(scene);
    assert_int_equal(take(scene).at_target, 1);
    uint16_t port = scene->port;
    client_leaves(scene);
    client_comes(scene); // between two lists
    assert_int_equal(scene->port, port);
    assert_int_equal(take(scene).at_target, 2);
    client_leaves(scene);
    assert_int_equal(take(scene).at_target, 2);
    client_comes(scene); // after a list that has the one before in TIME-WAIT
    assert_int_equal(take(scene).at_target, 3);
    assert_int_equal(take(scene).at_target, 3);
}

static void test_what_was_there_before_the_first_list_is_not_counted(void **state)
{
    struct scene *scene = *state;
    client_comes(scene);
    assert_int_equal(take(scene).at_target, 0);
    client_leaves(scene);
    client_comes(scene);
    assert_int_equal(take(scene).at_target, 1);
}

static void test_bytes_of_a_connection_of_no_worker_are_strange(void **state)
{
    struct scene *scene = *state;
    char text[1000] = {0};
    (void)take(scene);
    client_comes(scene);
    assert_int_equal(send(scene->client, text, sizeof text, 0), sizeof text);
    assert_int_equal(recv(scene->server, text, sizeof text, MSG_WAITALL), sizeof text);
    struct census_reading reading = take(scene);
    assert_int_equal(reading.own_bytes, 0);
    assert_int_equal(reading.strange_bytes, 1000);
}

// A connection to `address` that ends by a reset.
static void reset_at(const struct sockaddr_storage *address, socklen_t bytes, int listener)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)address, bytes), 0);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(client);
    close(server);
}

static void test_resets_are_counted_where_they_ended(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_storage other = {.ss_family = AF_INET};
    socklen_t bytes = sizeof(struct sockaddr_in);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&other, &bytes), 0);
    ((struct sockaddr_in *)&other)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(take(scene).parts, 0);
    for (int i = 0; i < 5; i++)
        reset_at(&other, bytes, listener);
    struct census_reading reading = take(scene);
    assert_int_equal(reading.parts, 1);
    assert_int_equal(reading.heard, 1);
    for (int i = 0; i < 3; i++)
        reset_at(&scene->target.address, scene->target.address_bytes, scene->listener);
    while (reading.went < 3) // the kernel tells them a moment later
        reading = take(scene);
    assert_int_equal(reading.heard, reading.parts);
    assert_int_equal(reading.went, 3); // and none of the other port
    int64_t parts = reading.parts;
    census_pause(scene->census, &none);
    reset_at(&scene->target.address, scene->target.address_bytes, scene->listener);
    reading = take(scene);
    assert_int_equal(reading.parts, parts + 1);
    assert_int_equal(reading.heard, parts); // nobody listened
    assert_int_equal(reading.went, 3);
    close(listener);
}

static void client_sends(const struct scene *scene, size_t bytes)
{
    static char text[100000];
    assert_int_equal(send(scene->client, text, bytes, 0), bytes);
    assert_int_equal(recv(scene->server, text, bytes, MSG_WAITALL), bytes);
}

struct awaited {
    uint16_t port; // of the server
    bool told;
};

static void await_end(void *context, const struct sockdiag_row *row)
{
    struct awaited *awaited = context;
    awaited->told = awaited->told || (row->local.port == awaited->port && row->peer.port != 0);
}

// Lets the client leave, and waits until the kernel has told of it: that comes a moment later, to all who listen.
static void client_leaves_and_is_heard(struct scene *scene)
{
    struct awaited awaited = {.port = ntohs(((const struct sockaddr_in *)&scene->target.address)->sin_port)};
    int ends = sockdiag_ends_open();
    if (ends < 0)
        skip(); // this kernel does not tell
    client_leaves(scene);
    while (!awaited.told) {
        usleep(1000);
        assert_int_equal(sockdiag_ends_read(ends, await_end, &awaited), 0);
    }
    usleep(20000); // to the others who listen, too
    close(ends);
}

// The FINs count as bytes.
static void assert_carried(int64_t found, int64_t bytes)
{
    assert_true(found >= bytes && found <= bytes + 2);
}

static void test_what_had_ended_is_heard_before_nobody_listens_any_more(void **state)
{
    struct scene *scene = *state;
    client_comes(scene);
    assert_int_equal(take(scene).strange_bytes, 0);
    client_sends(scene, 1000);
    client_leaves_and_is_heard(scene);
    census_pause(scene->census, &none);
    struct census_reading reading = take(scene);
    assert_carried(reading.strange_bytes, 1000);
    assert_int_equal(reading.left, 1);
    assert_int_equal(reading.unheard, 0);
}

static void test_a_connection_that_was_there_and_has_gone_unheard_is_counted(void **state)
{
    struct scene *scene = *state;
    client_comes(scene);
    struct census_reading reading = take(scene);
    assert_int_equal(reading.left + reading.unheard, 0);
    census_pause(scene->census, &none);
    client_sends(scene, 50000);
    client_leaves(scene);
    reading = take(scene);
    assert_int_equal(reading.left, 1);
    assert_int_equal(reading.unheard, 1);
    assert_int_equal(reading.strange_bytes, 0); // nobody knows
    reading = take(scene);
    assert_int_equal(reading.left, 1);
    assert_int_equal(reading.unheard, 1);
}

static void test_a_connection_that_has_gone_while_somebody_listened_is_known(void **state)
{
    struct scene *scene = *state;
    client_comes(scene);
    (void)take(scene);
    client_sends(scene, 50000);
    client_leaves_and_is_heard(scene);
    struct census_reading reading = take(scene);
    assert_carried(reading.strange_bytes, 50000);
    assert_int_equal(reading.left, 1);
    assert_int_equal(reading.unheard, 0);
}

static void test_connections_before_the_first_reading_are_counted(void **state)
{
    struct scene *scene = *state;
    client_comes(scene);
    client_leaves(scene); // in TIME-WAIT
    scene->port = 0;
    client_comes(scene);
    assert_int_equal(take(scene).before, 2);
    assert_int_equal(take(scene).before, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_connection_counts_once),
        TEST(test_ports_that_a_later_connection_has_again_are_another_connection),
        TEST(test_what_was_there_before_the_first_list_is_not_counted),
        TEST(test_bytes_of_a_connection_of_no_worker_are_strange),
        TEST(test_resets_are_counted_where_they_ended),
        cmocka_unit_test_setup_teardown(test_what_had_ended_is_heard_before_nobody_listens_any_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_that_was_there_and_has_gone_unheard_is_counted,
                                        set_up, tear_down),
        TEST(test_a_connection_that_has_gone_while_somebody_listened_is_known),
        TEST(test_connections_before_the_first_reading_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
