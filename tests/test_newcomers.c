// SPDX-License-Identifier: Apache-2.0
// The list of connections without a CONNECT: in the order of arrival, whoever leaves it.
#include "broker/mqtt/account.h"
#include "broker/mqtt/newcomers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { MANY = 1000 };

// The list never looks into a connection.
static struct connection *numbered(uintptr_t number)
{
    return (struct connection *)(number + 1);
}

static void the_oldest_is_first_whoever_leaves(void **state)
{
    (void)state;
    struct newcomers newcomers = {0};
    uint32_t places[MANY];
    assert_int_equal(newcomers_oldest(&newcomers), 0);
    for (uintptr_t i = 0; i < MANY; i++) {
        places[i] = newcomers_add(&newcomers, NULL, numbered(i));
        assert_int_not_equal(places[i], 0);
    }
    assert_true(newcomers_is_valid(&newcomers));
    for (uintptr_t i = 0; i < MANY; i++)
        if (i % 3 != 1)
            newcomers_remove(&newcomers, places[i], numbered(i));
    assert_true(newcomers_is_valid(&newcomers));
    uint32_t at = newcomers_oldest(&newcomers);
    for (uintptr_t i = 1; i < MANY; i += 3, at = newcomers_next(&newcomers, at))
        assert_ptr_equal(newcomers.places[at].connection, numbered(i));
    assert_int_equal(at, 0);
    newcomers_close(&newcomers, NULL);
}

static void who_is_not_at_its_place_is_left_alone(void **state)
{
    (void)state;
    struct newcomers newcomers = {0};
    newcomers_remove(&newcomers, 5, numbered(0));
    uint32_t place = newcomers_add(&newcomers, NULL, numbered(0));
    newcomers_remove(&newcomers, place, numbered(1));
    newcomers_remove(&newcomers, UINT32_MAX, numbered(0));
    newcomers_remove(&newcomers, 0, NULL);
    assert_int_equal(newcomers_oldest(&newcomers), place);
    newcomers_remove(&newcomers, place, numbered(0));
    newcomers_remove(&newcomers, place, numbered(0));
    assert_int_equal(newcomers_oldest(&newcomers), 0);
    assert_true(newcomers_is_valid(&newcomers));
    newcomers_close(&newcomers, NULL);
}

static void without_memory_there_is_no_place_and_nothing_is_lost(void **state)
{
    (void)state;
    struct newcomers newcomers = {0};
    struct account account;
    account_open(&account, 3000); // the first 64 places, not 128
    int added = 0;
    while (newcomers_add(&newcomers, &account, numbered(0)) != 0)
        added++;
    assert_int_equal(added, 63);
    assert_true(newcomers_is_valid(&newcomers));
    newcomers_close(&newcomers, &account);
    assert_int_equal(account_sum(&account), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_first_whoever_leaves),
        cmocka_unit_test(who_is_not_at_its_place_is_left_alone),
        cmocka_unit_test(without_memory_there_is_no_place_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
