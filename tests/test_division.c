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

static const struct division_rank alike[RANKS] = {{2, 19000, 1000000, false, NULL},
                                                  {2, 19000, 1000000, false, NULL},
                                                  {2, 19000, 1000000, false, NULL},
                                                  {2, 19000, 1000000, false, NULL}};

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
    static const struct division_rank of[RANKS] = {{2, 19000, 1000000, false, NULL},
                                                   {2, 100, 50, true, NULL},
                                                   {2, 19000, 1000000, false, NULL},
                                                   {0, 0, 0, true, NULL}};
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
    static const struct division_rank of[RANKS] = {{2, 19000, 300000, false, NULL},
                                                   {2, 19000, 100000, false, NULL},
                                                   {2, 19000, 0, false, NULL},
                                                   {2, 19000, 600000, false, NULL}};
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
    static const struct division_rank of[RANKS] = {{2, 19000, 5000, false, NULL},
                                                   {2, 19000, 5000, false, NULL},
                                                   {2, 19000, 5000, false, NULL},
                                                   {2, 19000, 5000, false, NULL}};
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
    static const struct division_rank of[RANKS] = {{2, 19000, 1000000, false, NULL},
                                                   {2, 19000, 1000000, false, NULL},
                                                   {2, 800, 1000000, false, NULL},
                                                   {2, 19000, 1000000, false, NULL}};
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

// Also where workers of one side of the split cannot have clients of the other.
static void no_rank_has_more_workers_than_were_asked_for(void **state)
{
    (void)state;
    for (int64_t split = 1; split < 99; split++)
        for (int way = DIVISION_EVEN; way <= DIVISION_FIT; way++) {
            struct division_request request = request_of(100, alike);
            request.workers = 2;
            request.split = split;
            request.way = (enum division_way)way;
            struct division division = divided(&request);
            for (int rank = 0; rank < RANKS; rank++)
                assert_in_range(division.workers[rank], 0, 2);
            division_free(&division);
        }
    struct division division;
    struct division_request request = request_of(100, alike);
    struct err err = {0};
    request.workers = 2;
    request.clients_per_worker = 5;
    assert_int_equal(division_make(&division, &request, &err), -EINVAL);
    assert_non_null(
        strstr(err.text, "room for 40 of 100 clients: 5 a worker, and --workers gives each rank 2"));
}

// A rank whose processes cannot hold the clients of a worker has none, and the others have as many workers as before.
static void a_fitting_division_counts_descriptors(void **state)
{
    (void)state;
    static const struct division_rank of[RANKS] = {{2, 19000, 1000000, false, NULL},
                                                   {2, 1000, 1000000, false, NULL},
                                                   {2, 19000, 1000000, false, NULL},
                                                   {2, 19000, 1000000, false, NULL}};
    struct division_request request = request_of(12000, of);
    request.workers = 2;
    request.way = DIVISION_FIT;
    struct division division = divided(&request);
    assert_int_equal(division.workers[1], 0);
    assert_in_range(division.clients_per_worker, 2000, 2040);
    for (int rank = 0; rank < RANKS; rank++)
        assert_in_range(division.workers[rank], 0, 2);
    division_free(&division);
    struct err err = {0};
    request.way = DIVISION_EVEN;
    assert_int_equal(division_make(&division, &request, &err), -EINVAL);
    assert_non_null(strstr(err.text, "rank 1: 1500 clients a worker"));
    assert_non_null(strstr(err.text, "Mend it there: ulimit -Hn 1700 as root"));
    request.way = DIVISION_FIT;
    request.clients = 140000; // more than three ranks hold in six processes
    assert_int_equal(division_make(&division, &request, &err), -EINVAL);
    assert_non_null(strstr(err.text, "have room for"));
    assert_non_null(strstr(err.text, "Mend it there: ulimit -Hn"));
}

static void what_bounds_the_rank_with_least_room_is_told(void **state)
{
    (void)state;
    static const struct division_rank of[RANKS] = {
        {2, 19000, 5000, false, "memory: little"},
        {2, 19000, 3000, false, "memory: least. Mend it there: buy"},
        {2, 19000, 5000, false, "memory: little"},
        {2, 0, 0, true, NULL}};
    struct division_request request = request_of(19000, of);
    struct division division;
    struct err err = {0};
    request.way = DIVISION_FIT;
    assert_int_equal(division_make(&division, &request, &err), -EINVAL);
    assert_non_null(strstr(err.text, "rank 1 for 3000: memory: least. Mend it there: buy"));
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
        cmocka_unit_test(no_rank_has_more_workers_than_were_asked_for),
        cmocka_unit_test(a_fitting_division_counts_descriptors),
        cmocka_unit_test(what_bounds_the_rank_with_least_room_is_told),
        cmocka_unit_test(the_first_clients_are_on_all_ranks),
        cmocka_unit_test(asked_workers_are_those_of_each_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
