// SPDX-License-Identifier: Apache-2.0
#include "loadgen/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const one_target[] = {"mqtt://127.0.0.1:1883"};

static struct plan_request request_of(int64_t clients)
{
    return (struct plan_request){.clients = clients,
                                 .engine_clients = 500,
                                 .clients_max = 19000,
                                 .cores = 2,
                                 .ranks = 1,
                                 .can_bind = true,
                                 .targets = one_target,
                                 .target_count = 1};
}

static struct plan made(const struct plan_request *request)
{
    struct plan plan;
    struct err err = {0};
    if (plan_make(&plan, request, &err) < 0)
        fail_msg("%s", err.text);
    return plan;
}

static void assert_refused(const struct plan_request *request, const char *names)
{
    struct plan plan;
    struct err err = {0};
    assert_int_equal(plan_make(&plan, request, &err), -EINVAL);
    if (!strstr(err.text, names))
        fail_msg("\"%s\" does not name \"%s\"", err.text, names);
    assert_null(plan.targets);
}

static void test_every_client_belongs_to_exactly_one_worker(void **state)
{
    (void)state;
    static const struct {
        int64_t clients, per_worker;
        int ranks;
        int64_t split;
    } cases[] = {{1, 0, 1, 0},   {3, 2, 1, 0},    {1000, 0, 1, 0}, {10001, 500, 1, 0},
                 {100, 7, 3, 0}, {5, 1, 4, 0},    {100, 0, 1, 90}, {101, 7, 1, 50},
                 {11, 4, 1, 8},  {100, 7, 3, 33}, {5, 1, 1, 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan_request request = request_of(cases[i].clients);
        request.clients_per_worker = cases[i].per_worker;
        request.ranks = cases[i].ranks;
        request.split = cases[i].split;
        struct plan plan = made(&request);
        int64_t next = 0;
        for (int worker = 0; worker < plan.workers; worker++)
            for (int rank = 0; rank < plan.ranks; rank++) {
                struct plan_share share = plan_share(&plan, rank, worker);
                assert_false(share.count > 0 && share.first < plan.split &&
                             share.first + share.count > plan.split);
                assert_int_equal(share.first, next);
                assert_true(share.count >= 0 && share.count <= plan.clients_per_worker);
                next += share.count;
            }
        assert_int_equal(next, cases[i].clients);
        plan_free(&plan);
    }
}

enum { RANKS = 3 };
static const int unequal[RANKS] = {4, 0, 2};

static struct plan_request request_over_ranks(int64_t clients, int rank)
{
    struct plan_request request = request_of(clients);
    request.ranks = RANKS;
    request.rank = rank;
    request.rank_workers = unequal;
    request.clients_per_worker = 10;
    request.even = true;
    return request;
}

static void test_ranks_of_unequal_workers_have_every_client_once(void **state)
{
    (void)state;
    for (int64_t clients = 1; clients <= 60; clients++) {
        int owners[60] = {0};
        int64_t all = 0;
        for (int rank = 0; rank < RANKS; rank++) {
            struct plan_request request = request_over_ranks(clients, rank);
            struct plan plan = made(&request);
            assert_int_equal(plan.workers, unequal[rank] > 0 ? unequal[rank] : 1);
            int64_t of_rank = 0;
            for (int worker = 0; worker < plan.workers; worker++) {
                struct plan_share share = plan_share(&plan, rank, worker);
                of_rank += share.count;
                assert_true(share.count == 0 || share.first % 2 == 0); // a pair is on one rank
                for (int64_t i = 0; i < share.count; i++)
                    owners[share.first + i]++;
            }
            assert_int_equal(plan_clients_of(&plan, rank), of_rank);
            all += of_rank;
            plan_free(&plan);
        }
        assert_int_equal(all, clients);
        for (int64_t client = 0; client < clients; client++)
            assert_int_equal(owners[client], 1);
    }
    struct plan_request request = request_over_ranks(61, 0);
    assert_refused(&request, "need 7 workers, the ranks have 6");
}

static void test_ranks_take_turns_so_that_the_first_clients_are_on_all(void **state)
{
    (void)state;
    struct plan_request request = request_of(1200);
    request.ranks = RANKS;
    request.clients_per_worker = 100;
    struct plan plan = made(&request);
    assert_int_equal(plan.workers, 4);
    for (int rank = 0; rank < RANKS; rank++) {
        assert_int_equal(plan_share(&plan, rank, 0).first, rank * 100);
        assert_int_equal(plan_share(&plan, rank, 1).first, 300 + rank * 100);
    }
    plan_free(&plan);
}

// A client's ports are its own among those of its rank. Ranks that are apart have all ports of a route each.
static void test_ranks_apart_have_routes_and_ports_of_their_own(void **state)
{
    (void)state;
    struct plan_request request = request_of(60000);
    request.ranks = RANKS;
    request.clients_per_worker = 500;
    request.ports = (struct ports){.way = PORTS_BIND, .first = 32768, .count = 28232};
    request.can_bind = false; // no source addresses: one route
    assert_refused(&request, "need 3 routes");
    request.apart = true;
    struct plan plan = made(&request);
    assert_int_equal(plan_per_route(&plan), 20000);
    for (int rank = 0; rank < RANKS; rank++) {
        char *taken = calloc(65536, 1);
        assert_non_null(taken);
        for (int worker = 0; worker < plan.workers; worker++) {
            struct plan_share share = plan_share(&plan, rank, worker);
            for (int64_t client = share.first; client < share.first + share.count; client++) {
                struct ports_range range = plan_ports(&plan, client, 0);
                assert_int_equal(range.first, range.last);
                assert_true(range.first != 0 && !taken[range.first]);
                taken[range.first] = 1;
            }
        }
        free(taken);
    }
    plan_free(&plan);
}

// As of crews on ranks that are apart: the plan of all clients knows how many share addresses, and not where each client is.
static void test_clients_that_share_addresses_may_be_counted_beforehand(void **state)
{
    (void)state;
    struct plan_request request = request_of(60000);
    request.ports = (struct ports){.way = PORTS_BIND, .first = 32768, .count = 28232};
    request.can_bind = false;
    assert_refused(&request, "need 3 routes");
    request.network_clients = 24000;
    struct plan plan = made(&request);
    assert_int_equal(plan_per_route(&plan), 24000);
    plan_free(&plan);
    request.network_clients = 30000;
    assert_refused(&request, "need 2 routes");
    assert_refused(&request, "there are 28232 (32768 to 60999), an eighth is left to others. sudo sysctl -w "
                             "net.ipv4.ip_local_port_range=\"1024 65535\"");
    request.ports = (struct ports){.way = PORTS_BIND, .first = 1024, .count = 64512};
    request.network_clients = 60000;
    assert_refused(&request, "The bound is the local ports (1024 to 65535)");
}

static void test_of_the_sources_of_all_hosts_each_takes_its_own(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "192.0.2.1,127.0.0.2,198.51.100.7,127.0.0.3"}; // two are for documentation
    static const char *const others[] = {"192.0.2.1"};
    struct plan_request request = request_of(10);
    request.sources = sources;
    request.source_count = 1;
    struct plan all = made(&request);
    assert_int_equal(plan_sources_here(&all), 2);
    plan_free(&all);
    request.own_sources = true;
    struct plan plan = made(&request);
    assert_int_equal(plan.source_count, 2);
    assert_int_equal(ntohl(plan.sources[0].s_addr), 0x7f000002);
    assert_int_equal(ntohl(plan.sources[1].s_addr), 0x7f000003);
    plan_free(&plan);
    request.sources = others;
    assert_refused(&request, "none of the 1 addresses is of this host");
}

static void test_goals_of_the_workers_add_up_to_the_goal(void **state)
{
    (void)state;
    struct plan_request request = request_of(10000);
    request.clients_per_worker = 300;
    struct plan plan = made(&request);
    for (int64_t goal = 0; goal <= 10000; goal += 777) {
        int64_t sum = 0;
        for (int worker = 0; worker < plan.workers; worker++)
            sum += plan_goal(plan_share(&plan, 0, worker), goal);
        assert_int_equal(sum, goal);
    }
    plan_free(&plan);
}

static void test_every_core_has_a_worker_when_there_are_clients_for_it(void **state)
{
    (void)state;
    struct plan_request request = request_of(200);
    struct plan plan = made(&request);
    assert_int_equal(plan.workers, 2);
    assert_int_equal(plan.clients_per_worker, 100);
    plan_free(&plan);
    request = request_of(1);
    plan = made(&request);
    assert_int_equal(plan.workers, 1);
    plan_free(&plan);
}

static void test_pairs_are_not_split(void **state)
{
    (void)state;
    struct plan_request request = request_of(50);
    request.even = true;
    request.clients_per_worker = 7;
    struct plan plan = made(&request);
    for (int worker = 0; worker < plan.workers; worker++)
        assert_int_equal(plan_share(&plan, 0, worker).first % 2, 0);
    plan_free(&plan);
}

// Routes are counted by number of (source, target) in the order they are used.
static void test_a_million_clients_find_routes_of_ten_thousand_on_one_port(void **state)
{
    (void)state;
    struct plan_request request = request_of(1000000);
    request.engine_clients = 18000;
    struct plan plan = made(&request);
    assert_int_equal(plan.source_count, 100);
    int *used = calloc(256 * 256, sizeof *used);
    assert_non_null(used);
    for (int64_t client = 0; client < plan.clients; client++) {
        struct plan_route route = plan_route(&plan, client);
        assert_non_null(route.source);
        uint32_t address = ntohl(route.source->s_addr);
        assert_int_equal(address >> 24, 127);
        assert_true(++used[address & 0xffff] <= PORTS_SEARCHED_MAX);
    }
    free(used);
    plan_free(&plan);
}

static void test_few_clients_leave_the_source_to_the_kernel(void **state)
{
    (void)state;
    struct plan_request request = request_of(10000);
    struct plan plan = made(&request);
    assert_int_equal(plan.source_count, 0);
    assert_null(plan_route(&plan, 17).source);
    plan_free(&plan);
}

// What a plan may take, before it is made: `cluster` counts with it.
static void test_routes_are_counted_as_a_plan_takes_them(void **state)
{
    (void)state;
    static const struct {
        const char *targets, *sources;
        bool can_bind;
        int count, addresses;
    } cases[] = {
        {"127.0.0.1", NULL, true, 1, PLAN_SOURCES_MAX},   {"127.0.0.1,127.0.0.1:1884", NULL, false, 2, 1},
        {"127.0.0.1,192.0.2.1", NULL, true, 2, 1},        {"192.0.2.1", "192.0.2.7,192.0.2.8", true, 1, 2},
        {"127.0.0.1", "127.0.0.2,127.0.0.3", true, 1, 2}, {NULL, NULL, true, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan_request request = request_of(10);
        struct err err = {0};
        int targets, addresses;
        request.targets = &cases[i].targets;
        request.target_count = cases[i].targets ? 1 : 0;
        request.sources = &cases[i].sources;
        request.source_count = cases[i].sources ? 1 : 0;
        request.can_bind = cases[i].can_bind;
        assert_int_equal(plan_count_routes(&request, &targets, &addresses, &err), 0);
        assert_int_equal(targets, cases[i].count);
        assert_int_equal(addresses, cases[i].addresses);
    }
}

static void test_an_address_twice_or_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *targets, *sources, *word;
    } cases[] = {{"127.0.0.1:1883,", NULL, "a comma without an address"},
                 {"127.0.0.1:1883,,127.0.0.2", NULL, "a comma without an address"},
                 {",127.0.0.1", NULL, "a comma without an address"},
                 {"127.0.0.1:1883,tcp://127.0.0.1", NULL, "is there twice"},
                 {"[::1]:9,[0::1]:9", NULL, "is there twice"},
                 {"127.0.0.1", "127.0.0.2,127.0.0.2", "--source \"127.0.0.2\" is there twice"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan_request request = request_of(10);
        request.targets = &cases[i].targets;
        request.target_count = 1;
        request.sources = &cases[i].sources;
        request.source_count = cases[i].sources ? 1 : 0;
        struct plan plan = {0};
        struct err err = {0};
        assert_true(plan_make(&plan, &request, &err) < 0);
        assert_non_null(strstr(err.text, cases[i].word));
    }
}

static void test_targets_may_be_several_with_commas_and_take_turns(void **state)
{
    (void)state;
    static const char *const targets[] = {"mqtt://127.0.0.1:1883,127.0.0.2:1884", "tcp://127.0.0.3"};
    struct plan_request request = request_of(30000);
    request.targets = targets;
    request.target_count = 2;
    request.can_bind = false;
    struct plan plan = made(&request);
    assert_int_equal(plan.target_count, 3);
    assert_string_equal(plan_route(&plan, 0).target->uri, "tcp://127.0.0.1:1883");
    assert_string_equal(plan_route(&plan, 1).target->uri, "tcp://127.0.0.2:1884");
    assert_string_equal(plan_route(&plan, 2).target->uri, "tcp://127.0.0.3:1883");
    assert_string_equal(plan_route(&plan, 3).target->uri, "tcp://127.0.0.1:1883");
    plan_free(&plan);
}

static void test_a_pair_stays_on_one_target_unless_it_is_to_be_spread(void **state)
{
    (void)state;
    static const char *const targets[] = {"127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"};
    struct plan_request request = request_of(60000);
    request.targets = targets;
    request.even = true;
    for (int spread = 0; spread < 2; spread++) {
        request.spread_pairs = spread;
        struct plan plan = made(&request);
        int64_t used[3] = {0};
        for (int64_t client = 0; client < plan.clients; client += 2) {
            const struct plan_target *one = plan_route(&plan, client).target;
            const struct plan_target *other = plan_route(&plan, client + 1).target;
            assert_int_equal(one == other, !spread);
            used[one - plan.targets]++;
            used[other - plan.targets]++;
        }
        for (int i = 0; i < 3; i++)
            assert_int_equal(used[i], 20000);
        plan_free(&plan);
    }
}

static void test_ipv6_targets_are_targets_like_any_other(void **state)
{
    (void)state;
    static const char *const targets[] = {"mqtt://[::1]:1884,[::1],tcp://127.0.0.1:1885"};
    struct plan_request request = request_of(10);
    request.targets = targets;
    struct plan plan = made(&request);
    assert_int_equal(plan.target_count, 3);
    assert_string_equal(plan.targets[0].uri, "tcp://[::1]:1884");
    assert_int_equal(plan.targets[0].address.ss_family, AF_INET6);
    assert_string_equal(plan.targets[1].uri, "tcp://[::1]:1883");
    assert_string_equal(plan.targets[2].uri, "tcp://127.0.0.1:1885");
    plan_free(&plan);
}

static void test_what_is_wrong_with_a_target_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *target, *says;
    } cases[] = {
        {"mqtts://127.0.0.1:8883", "no TLS"},
        {"ws://127.0.0.1:80", "no WebSocket"},
        {"mqtt://me:secret@127.0.0.1", "user name or password"},
        {"mqtt://127.0.0.1:1883/topic", "path"},
        {"mqtt://::1:1883", "takes brackets"},
        {"mqtt://[::1:1883", "bracket"},
        {"mqtt://[::1]1883", "its port"},
        {"mqtt://127.0.0.1:", "its port"},
        {"mqtt://127.0.0.1:http", "its port"},
        {"mqtt://127.0.0.1:65536", "its port"},
        {"mqtt://:1883", "no host"},
        {"mqtt://[::z]:1883", "cannot find \"::z\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan_request request = request_of(10);
        request.targets = &cases[i].target;
        assert_refused(&request, cases[i].target);
        assert_refused(&request, cases[i].says);
        struct err err;
        int targets, addresses;
        request.target_count = 1;
        assert_int_equal(plan_count_routes(&request, &targets, &addresses, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    static const char *const sources[] = {"127.0.0.1"}, *const six[] = {"mqtt://[::1]"};
    struct plan_request request = request_of(10);
    request.targets = six;
    request.sources = sources;
    request.source_count = 1;
    assert_refused(&request, "--source is of IPv4");
}

static void test_what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    struct plan_request request = request_of(10);
    request.target_count = 0;
    assert_refused(&request, "--target");

    static const char *const bad[] = {"mqtt://127.0.0.1:99999", "mqtt://:1883",      "http://127.0.0.1:80",
                                      "mqtt://127.0.0.1:18x3",  "mqtt://a.b/c:1883", "mqtt://127.0.0.1:0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        request = request_of(10);
        request.targets = &bad[i];
        assert_refused(&request, bad[i]);
    }

    static const char *const bad_source[] = {"127.0.0.256"};
    request = request_of(10);
    request.sources = bad_source;
    request.source_count = 1;
    assert_refused(&request, "127.0.0.256");

    static const char *const source[] = {"127.0.0.2"};
    request = request_of(10);
    request.sources = source;
    request.source_count = 1;
    request.can_bind = false;
    assert_refused(&request, "--engine raw");

    request = request_of(10001);
    request.can_bind = false;
    assert_refused(&request, "need 2 routes");
    assert_refused(&request,
                   "or --engine raw, which takes them at one target. The bound is this program's own");

    request = request_of(100000);
    request.clients_per_worker = 20000;
    assert_refused(&request, "more than one process can hold");
    assert_refused(&request, "raise the limit of open files");
    request.engine_most = request.clients_max;
    assert_refused(&request, "a smaller --clients-per-worker. The bound is this engine's own");

    request = request_of(100);
    request.clients_per_worker = 10;
    request.workers = 9;
    assert_refused(&request, "need 10 workers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_client_belongs_to_exactly_one_worker),
        cmocka_unit_test(test_ranks_of_unequal_workers_have_every_client_once),
        cmocka_unit_test(test_ranks_take_turns_so_that_the_first_clients_are_on_all),
        cmocka_unit_test(test_ranks_apart_have_routes_and_ports_of_their_own),
        cmocka_unit_test(test_clients_that_share_addresses_may_be_counted_beforehand),
        cmocka_unit_test(test_of_the_sources_of_all_hosts_each_takes_its_own),
        cmocka_unit_test(test_goals_of_the_workers_add_up_to_the_goal),
        cmocka_unit_test(test_every_core_has_a_worker_when_there_are_clients_for_it),
        cmocka_unit_test(test_pairs_are_not_split),
        cmocka_unit_test(test_a_million_clients_find_routes_of_ten_thousand_on_one_port),
        cmocka_unit_test(test_few_clients_leave_the_source_to_the_kernel),
        cmocka_unit_test(test_routes_are_counted_as_a_plan_takes_them),
        cmocka_unit_test(test_an_address_twice_or_missing_is_named),
        cmocka_unit_test(test_targets_may_be_several_with_commas_and_take_turns),
        cmocka_unit_test(test_a_pair_stays_on_one_target_unless_it_is_to_be_spread),
        cmocka_unit_test(test_ipv6_targets_are_targets_like_any_other),
        cmocka_unit_test(test_what_is_wrong_with_a_target_is_said),
        cmocka_unit_test(test_what_cannot_be_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
