// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ports.h"

#include "base/clock.h"
#include "loadgen/engines/raw.h"
#include "loadgen/responder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const enum ports_way assigned[] = {PORTS_RANGE, PORTS_BIND};

static bool can(enum ports_way way)
{
    struct ports ports;
    return ports_choose(&ports, way, true, "", NULL) == 0;
}

// The port of a range of one port; 0: it is no such range.
static uint16_t single(struct ports_range range)
{
    return range.first == range.last ? range.first : 0;
}

static uint16_t own(const struct ports *ports, int64_t place, int64_t stride, int attempt)
{
    return single(ports_range(ports, place, stride, attempt));
}

// --- which port --------------------------------------------------------------------------------------------

// Ports of a plan with 3 targets and 2 sources, all attempts.
static void check_no_two_clients_share_a_port(bool even)
{
    enum { CLIENTS = 3001, ROUTES = 6, COUNT = 2000 };
    static const char *const targets[] = {"127.0.0.1:1,127.0.0.1:2,127.0.0.2:1"};
    static const char *const sources[] = {"127.0.0.1,127.0.0.2"};
    struct plan_request request = {.clients = CLIENTS,
                                   .engine_clients = 500,
                                   .clients_max = 500,
                                   .cores = 2,
                                   .even = even,
                                   .can_bind = true,
                                   .targets = targets,
                                   .target_count = 1,
                                   .sources = sources,
                                   .source_count = 1,
                                   .ports = {PORTS_RANGE, 40000, COUNT, 900, 0}};
    struct plan plan;
    assert_int_equal(plan_make(&plan, &request, NULL), 0);
    static bool used[ROUTES][COUNT];
    memset(used, 0, sizeof used);
    for (int64_t client = 0; client < CLIENTS; client++) {
        struct plan_route route = plan_route(&plan, client);
        long index = (route.target - plan.targets) + (route.source - plan.sources) * 3;
        uint16_t port;
        for (int attempt = 0; (port = single(plan_ports(&plan, client, attempt))) != 0; attempt++) {
            assert_true(attempt < PORTS_ATTEMPTS_MAX);
            assert_in_range(port, 40000, 40000 + COUNT - 1);
            assert_false(used[index][port - 40000]);
            used[index][port - 40000] = true;
            assert_int_equal(ports_is_first(&plan.ports, plan_per_route(&plan), port), attempt == 0);
        }
        assert_true(single(plan_ports(&plan, client, 2)) != 0); // 502 clients a route, 2 000 ports
    }
    plan_free(&plan);
}

static void test_no_two_clients_of_a_route_share_a_port(void **state)
{
    (void)state;
    check_no_two_clients_share_a_port(false);
    check_no_two_clients_share_a_port(true);
}

static void test_where_the_kernel_searches_there_is_no_port(void **state)
{
    (void)state;
    struct ports ports;
    assert_int_equal(ports_choose(&ports, PORTS_KERNEL, true, "x", NULL), 0);
    assert_int_equal(ports_range(&ports, 0, 1, 0).first, 0);
    assert_false(ports_is_first(&ports, 1000, 40000));
    assert_int_equal(ports_per_route(&ports), PORTS_SEARCHED_MAX);
}

static void test_a_way_that_is_not_possible_is_refused_and_auto_takes_another(void **state)
{
    (void)state;
    struct ports ports;
    struct err err = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ports_choose(&ports, assigned[i], false, "x", &err), -EINVAL);
        assert_non_null(strstr(err.text, ports_way_name(assigned[i])));
        assert_non_null(strstr(err.text, "--engine raw"));
    }
    assert_int_equal(ports_choose(&ports, PORTS_AUTO, false, "x", &err), 0);
    assert_int_equal(ports.way, PORTS_KERNEL);
    assert_int_equal(ports_choose(&ports, PORTS_AUTO, true, "x", &err), 0);
    assert_int_equal(ports.way, can(PORTS_RANGE) ? PORTS_RANGE : PORTS_KERNEL);
}

static void test_names_are_read_and_others_refused(void **state)
{
    (void)state;
    for (int way = PORTS_KERNEL; way <= PORTS_AUTO; way++) {
        enum ports_way read;
        assert_int_equal(ports_way_parse(ports_way_name((enum ports_way)way), &read), 0);
        assert_int_equal(read, way);
    }
    enum ports_way read;
    assert_int_equal(ports_way_parse("", &read), -EINVAL);
    assert_int_equal(ports_way_parse("Range", &read), -EINVAL);
}

// --- with sockets ------------------------------------------------------------------------------------------

enum { CLIENTS = 2, BLOCK = 4 };

struct world {
    struct responder *responder;
    pthread_t thread;
    struct plan plan;
    struct engine_run *run;
    struct engine_event last[CLIENTS];
    int ended, connected;
    int holders[BLOCK];
};

static void on_event(void *context, const struct engine_event *event)
{
    struct world *world = context;
    if (event->kind != ENGINE_CONNECTED && event->kind != ENGINE_FAILED)
        return;
    world->last[event->client] = *event;
    world->ended++;
    world->connected += event->kind == ENGINE_CONNECTED;
}

static void *respond(void *responder)
{
    responder_run(responder);
    return NULL;
}

// An address of its own: connections of other programs, alive or in TIME_WAIT, do not meet those of the test.
static const char source[] = "127.77.7.7";

// A connection to the responder from `port`, taken in the way of the plan; -1 when the port is taken. It is
// closed by a reset, so it leaves nothing in TIME_WAIT.
static int hold(const struct world *world, const struct ports *ports, uint32_t port)
{
    bool by_range = ports->way == PORTS_RANGE;
    uint32_t range = port << 16 | port;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = by_range ? 0 : htons((uint16_t)port)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(responder_port(world->responder)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){by_range}, sizeof(int)), 0);
    if (by_range)
        assert_int_equal(setsockopt(fd, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &range, sizeof range), 0);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    assert_int_equal(errno, by_range ? EADDRNOTAVAIL : EADDRINUSE);
    close(fd);
    return -1;
}

// Makes a range of BLOCK ports that are free; holds them all.
static void hold_block(struct world *world, struct ports *ports)
{
    for (uint32_t first = ports->first; first + BLOCK <= ports->first + ports->count; first += BLOCK) {
        int held = 0;
        while (held < BLOCK && (world->holders[held] = hold(world, ports, first + (uint32_t)held)) >= 0)
            held++;
        if (held == BLOCK) {
            ports->first = first;
            ports->count = BLOCK;
            ports->start = 0;
            return;
        }
        while (held > 0)
            close(world->holders[--held]);
    }
    fail_msg("no %d free ports in a row", BLOCK);
}

static void start(struct world *world, enum ports_way way)
{
    *world = (struct world){.ended = 0};
    struct err err = {0};
    char target[40];
    const char *targets[] = {target}, *sources[] = {source};
    struct plan_request request = {.clients = CLIENTS,
                                   .engine_clients = CLIENTS,
                                   .clients_max = CLIENTS,
                                   .cores = 1,
                                   .can_bind = true,
                                   .targets = targets,
                                   .target_count = 1,
                                   .sources = sources,
                                   .source_count = 1};
    assert_int_equal(ports_choose(&request.ports, way, true, "", &err), 0);
    assert_int_equal(responder_open(&world->responder, &(struct responder_config){0}, &err), 0);
    assert_int_equal(pthread_create(&world->thread, NULL, respond, world->responder), 0);
    snprintf(target, sizeof target, "127.0.0.1:%u", (unsigned)responder_port(world->responder));
    hold_block(world, &request.ports);
    assert_int_equal(plan_make(&world->plan, &request, &err), 0);
    struct engine_config config = {.plan = &world->plan,
                                   .clients = CLIENTS,
                                   .prefix = "test",
                                   .timeout_ns = 60 * NS_PER_S,
                                   .listener = on_event,
                                   .context = world};
    assert_int_equal(engine_raw.open(&world->run, &config, &err), 0);
}

static void release(struct world *world, int number)
{
    close(world->holders[number]);
    world->holders[number] = -1;
}

static void connect_all(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(engine_raw.connect(world->run, i), 0);
    int64_t limit_ns = clock_now_ns() + 60 * NS_PER_S;
    while (world->ended < CLIENTS && clock_now_ns() < limit_ns)
        engine_raw.step(world->run, clock_now_ns() + 50 * NS_PER_MS);
    assert_int_equal(world->ended, CLIENTS);
}

static void stop(struct world *world)
{
    engine_raw.close(world->run);
    responder_stop(world->responder);
    pthread_join(world->thread, NULL);
    responder_close(world->responder);
    plan_free(&world->plan);
    for (int i = 0; i < BLOCK; i++)
        if (world->holders[i] >= 0)
            close(world->holders[i]);
}

// In the order of the block, which is 0, 2, 1, 3, client 0 has the ports 0 and 1, client 1 has 2 and 3.
static void test_a_port_that_is_taken_is_passed_over_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        static struct world world;
        if (!can(assigned[i]))
            continue;
        start(&world, assigned[i]);
        for (int port = 1; port < BLOCK; port++)
            release(&world, port);
        connect_all(&world);
        assert_int_equal(world.connected, CLIENTS);
        assert_int_equal(world.last[0].ports_passed, 1);
        assert_int_equal(world.last[1].ports_passed, 0);
        uint32_t first = world.plan.ports.first;
        assert_int_equal(hold(&world, &world.plan.ports, first + 1), -1); // by client 0
        assert_int_equal(hold(&world, &world.plan.ports, first + 2), -1); // by client 1
        int fd = hold(&world, &world.plan.ports, first + 3);
        assert_true(fd >= 0);
        close(fd);
        stop(&world);
    }
}

static void test_after_a_clients_own_ports_come_a_wide_range_and_then_any(void **state)
{
    (void)state;
    struct ports ports = {PORTS_RANGE, 32768, 28232, 5, 0};
    int attempt = 0;
    while (own(&ports, 4000, 10000, attempt) != 0)
        attempt++;
    assert_int_equal(attempt, 3); // 4 000, 14 000 and 24 000 of 24 703
    struct ports_range wide = ports_range(&ports, 4000, 10000, attempt);
    assert_int_equal(wide.first, 32768);
    assert_int_equal(wide.last, 32768 + 28232 / 4 * 3 - 1);
    assert_int_equal(ports_range(&ports, 4000, 10000, attempt + 1).first, 0);
    assert_int_equal(ports_range(&ports, 4000, 1, PORTS_ATTEMPTS_MAX).last, wide.last);
    ports.way = PORTS_BIND; // a bind takes one port
    assert_int_equal(ports_range(&ports, 4000, 10000, attempt).first, 0);
}

static void test_after_its_own_ports_a_client_leaves_the_search_to_the_kernel(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        static struct world world;
        if (!can(assigned[i]))
            continue;
        start(&world, assigned[i]); // all ports are held
        connect_all(&world);
        assert_int_equal(world.connected, CLIENTS);
        for (int client = 0; client < CLIENTS; client++)
            assert_int_equal(world.last[client].ports_passed, BLOCK / CLIENTS);
        stop(&world);
    }
}

static void test_the_last_ports_that_bind_takes_first_are_left_to_others(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 7, 8, 9, 1000, 28232, 64512};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct ports ports = {PORTS_RANGE, 1024, counts[i], counts[i] / 3, 0};
        uint32_t half = (counts[i] + 1) / 2, odd_end = 1024 + counts[i] - counts[i] / 8 * 2;
        int64_t place = 0;
        uint16_t port;
        for (; (port = own(&ports, place, 1, 0)) != 0; place++) {
            assert_int_equal((port - 1024) % 2, place >= half);
            if (place >= half)
                assert_true(port <= odd_end);
        }
        assert_int_equal(place, ports_per_route(&ports));
        ports.skip = 1;
        assert_int_equal(own(&ports, place - 1, 1, 0), 0);
    }
}

static void test_reserved_ports_are_counted(void **state)
{
    (void)state;
    assert_int_equal(ports_reserved_in("\n", 32768, 60999), 0);
    assert_int_equal(ports_reserved_in("8080,32768-60990,61000-61010\n", 32768, 60999), 28223);
    assert_int_equal(ports_reserved_in("40000,40002-40003\n", 32768, 60999), 3);
    assert_int_equal(ports_reserved_in("junk", 32768, 60999), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserved_ports_are_counted),
        cmocka_unit_test(test_no_two_clients_of_a_route_share_a_port),
        cmocka_unit_test(test_where_the_kernel_searches_there_is_no_port),
        cmocka_unit_test(test_a_way_that_is_not_possible_is_refused_and_auto_takes_another),
        cmocka_unit_test(test_names_are_read_and_others_refused),
        cmocka_unit_test(test_a_port_that_is_taken_is_passed_over_and_counted),
        cmocka_unit_test(test_the_last_ports_that_bind_takes_first_are_left_to_others),
        cmocka_unit_test(test_after_a_clients_own_ports_come_a_wide_range_and_then_any),
        cmocka_unit_test(test_after_its_own_ports_a_client_leaves_the_search_to_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
