// SPDX-License-Identifier: Apache-2.0
#include "loadgen/division.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS = 4 };

static void assert_whole(const struct division *division, int64_t clients)
{
    int64_t all = 0;
    for (int rank = 0; rank < division->ranks; rank++)
        all += division_clients(division, clients, rank);
    assert_int_equal(all, clients);
}

static struct division divided(const struct division_request *request)
{
    struct division division;
    struct err err = {0};
    if (division_make(&division, request, &err) < 0)
        fail_msg("%s", err.text);
    assert_whole(&division, request->clients);
    return division;
}

static struct division_request request_of(int64_t clients, const struct division_rank of[RANKS])
{
    return (struct division_request){.clients = clients, .engine_clients = 1000, .ranks = RANKS, .of = of};
}

static const struct division_rank alike[RANKS] = {{2, 19000, 1000000, false},
                                                  {2, 19000, 1000000, false},
                                                  {2, 19000, 1000000, false},
                                                  {2, 19000, 1000000, false}};

static void an_even_division_gives_all_as_many(void **state)
{
    (void)state;
    struct division_request request = request_of(400000, alike);
    struct division division = divided(&request);
    assert_int_equal(division.clients_per_worker, 1000);
    for (int rank = 0; rank < RANKS; rank++)
        assert_int_equal(division_clients(&division, 400000, rank), 100000);
    division_free(&division);
}

static void every_number_of_clients_is_divided_whole(void **state)
{
    (void)state;
    for (int64_t clients = 1; clients < 60; clients++)
        for (int even = 0; even < 2; even++) {
            struct division_request request = request_of(clients, alike);
            request.even = even;
            struct division division = divided(&request);
            assert_int_equal(division.clients_per_worker % (even ? 2 : 1), 0);
            int64_t least = clients, most = 0;
            for (int rank = 0; rank < RANKS; rank++) {
                int64_t has = division_clients(&division, clients, rank);
                least = has < least ? has : least;
                most = has > most ? has : most;
            }
            // Not more than a worker apart, of which the last may be a part.
            assert_true(most - least < 2 * division.clients_per_worker);
            division_free(&division);
        }
}

// Slow readers have workers of their own, and all ranks have some of both.
static void no_worker_has_clients_of_both_sides_of_the_split(void **state)
{
    (void)state;
    for (int64_t clients = 20; clients < 60; clients++)
        for (int64_t split = RANKS; split <= clients - RANKS; split++) {
            struct division_request request = request_of(clients, alike);
            request.split = split;
            struct division division = divided(&request);
            int64_t before = 0;
            for (int rank = 0; rank < RANKS; rank++) {
                int64_t has = division_first(&division, clients, split, rank);
                assert_in_range(has, 1, division_clients(&division, clients, rank) - 1);
                before += has;
            }
            assert_int_equal(before, split);
            division_free(&division);
        }
}

static void where_each_rank_is_to_have_some_it_has(void **state)
{
    (void)state;
    for (int64_t clients = RANKS; clients < 60; clients++) {
        struct division_request request = request_of(clients, alike);
        request.all = true;
        struct division division = divided(&request);
        for (int rank = 0; rank < RANKS; rank++)
            assert_true(division_clients(&division, clients, rank) > 0);
        division_free(&division);
    }
}

static void a_rank_that_only_watches_has_no_clients(void **state)
{
    (void)state;
    static const struct division_rank of[RANKS] = {
        {2, 19000, 1000000, false}, {2, 100, 50, true}, {2, 19000, 1000000, false}, {0, 0, 0, true}};
    for (int way = DIVISION_EVEN; way <= DIVISION_FIT; way++) {
        struct division_request request = request_of(40000, of);
        request.way = (enum division_way)way;
        struct division division = divided(&request);
        assert_int_equal(division_clients(&division, 40000, 0), 20000);
        assert_int_equal(division_clients(&division, 40000, 1), 0);
        assert_int_equal(division_clients(&division, 40000, 3), 0);
        division_free(&division);
    }
}

static void a_fitting_division_follows_the_room(void **state)
{
    (void)state;
    static const struct division_rank of[RANKS] = {{2, 19000, 300000, false},
                                                   {2, 19000, 100000, false},
                                                   {2, 19000, 0, false},
                                                   {2, 19000, 600000, false}};
    struct division_request request = request_of(100000, of);
    request.way = DIVISION_FIT;
    struct division division = divided(&request);
    assert_in_range(division_clients(&division, 100000, 0), 28000, 32000);
    assert_in_range(division_clients(&division, 100000, 1), 8000, 12000);
    assert_int_equal(division_clients(&division, 100000, 2), 0);
    assert_in_range(division_clients(&division, 100000, 3), 58000, 62000);
    division_free(&division);
}

static void a_fitting_division_never_exceeds_a_room(void **state)
{
    (void)state;
    static const struct division_rank of[RANKS] = {
        {2, 19000, 5000, false}, {2, 19000, 5000, false}, {2, 19000, 5000, false}, {2, 19000, 5000, false}};
    struct division_request request = request_of(19000, of);
    request.way = DIVISION_FIT;
    struct division division = divided(&request);
    for (int rank = 0; rank < RANKS; rank++)
        assert_true(division_clients(&division, 19000, rank) <= 5000);
    division_free(&division);
    struct err err = {0};
    request.clients = 30000;
    assert_int_equal(division_make(&division, &request, &err), -EINVAL);
    assert_non_null(strstr(err.text, "have room for"));
}

static void a_share_that_a_process_cannot_hold_is_refused_by_the_ranks_number(void **state)
{
    (void)state;
    static const struct division_rank of[RANKS] = {{2, 19000, 1000000, false},
                                                   {2, 19000, 1000000, false},
                                                   {2, 800, 1000000, false},
                                                   {2, 19000, 1000000, false}};
    struct division_request request = request_of(100000, of);
    struct division division = divided(&request); // by itself it takes what all can hold
    assert_int_equal(division.clients_per_worker, 800);
    division_free(&division);
    struct err err = {0};
    request.clients_per_worker = 5000;
    assert_int_equal(division_make(&division, &request, &err), -EINVAL);
    assert_non_null(strstr(err.text, "rank 2"));
    assert_non_null(strstr(err.text, "800"));
}

static void asked_workers_are_those_of_each_rank(void **state)
{
    (void)state;
    struct division_request request = request_of(1200, alike);
    request.workers = 3;
    struct division division = divided(&request);
    assert_int_equal(division.clients_per_worker, 100);
    for (int rank = 0; rank < RANKS; rank++)
        assert_int_equal(division.workers[rank], 3);
    division_free(&division);
}

static void the_first_clients_are_on_all_ranks(void **state)
{
    (void)state;
    struct division_request request = request_of(4000, alike);
    request.clients_per_worker = 10;
    struct division division = divided(&request);
    for (int rank = 0; rank < RANKS; rank++) {
        assert_int_equal(division_first(&division, 4000, 400, rank), 100);
        assert_int_equal(division_first(&division, 4000, 0, rank), 0);
    }
    assert_int_equal(division_first(&division, 4000, 15, 0), 10);
    assert_int_equal(division_first(&division, 4000, 15, 1), 5);
    assert_int_equal(division_first(&division, 4000, 15, 2), 0);
    division_free(&division);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_even_division_gives_all_as_many),
        cmocka_unit_test(every_number_of_clients_is_divided_whole),
        cmocka_unit_test(no_worker_has_clients_of_both_sides_of_the_split),
        cmocka_unit_test(where_each_rank_is_to_have_some_it_has),
        cmocka_unit_test(a_rank_that_only_watches_has_no_clients),
        cmocka_unit_test(a_fitting_division_follows_the_room),
        cmocka_unit_test(a_fitting_division_never_exceeds_a_room),
        cmocka_unit_test(a_share_that_a_process_cannot_hold_is_refused_by_the_ranks_number),
        cmocka_unit_test(the_first_clients_are_on_all_ranks),
        cmocka_unit_test(asked_workers_are_those_of_each_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
