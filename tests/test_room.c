// SPDX-License-Identifier: Apache-2.0
#include "loadgen/room.h"

#include "loadgen/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct engine engine = {.client_bytes = 900, .process_bytes = 1 << 20};
enum { EACH = 5100 + 900 };

static void memory_bounds_the_clients(void **state)
{
    (void)state;
    struct room room;
    struct room_facts facts = {.memory_bytes = (256 << 20) + (2 << 20) + 1000LL * EACH,
                               .file_max = 1 << 30,
                               .files = 0,
                               .processors = 2};
    room_judge(&room, &facts, &engine, 5000);
    assert_int_equal(room.clients, 1000);
    assert_string_equal(room.by, "memory");
    assert_non_null(strstr(room.text, "are needed"));
    assert_non_null(strstr(room.mend, "--share fit"));
}

static void open_files_bound_the_clients_and_the_command_is_given(void **state)
{
    (void)state;
    struct room room;
    struct room_facts facts = {.memory_bytes = 1LL << 40, .file_max = 15000, .files = 1000, .processors = 2};
    room_judge(&room, &facts, &engine, 5000);
    assert_int_equal(room.clients, 4000);
    assert_string_equal(room.by, "open files of the system");
    assert_string_equal(room.mend, "sudo sysctl -w fs.file-max=16000");
}

static void there_is_never_less_than_no_room(void **state)
{
    (void)state;
    struct room room;
    struct room_facts facts = {.memory_bytes = 0, .file_max = 0, .files = 100, .processors = 2};
    room_judge(&room, &facts, &engine, 1);
    assert_int_equal(room.clients, 0);
}

static void what_is_not_known_is_no_bound(void **state)
{
    (void)state;
    struct room room;
    struct room_facts facts = {.memory_bytes = -1, .file_max = -1, .files = -1, .processors = 1};
    room_judge(&room, &facts, &engine, 5000);
    assert_int_equal(room.clients, INT64_MAX);
}

static void this_host_has_some_memory_and_some_files(void **state)
{
    (void)state;
    struct room_facts facts;
    room_facts_read(&facts);
    assert_true(facts.memory_bytes > 0);
    assert_true(facts.file_max > 0);
    assert_true(facts.files > 0);
    assert_true(facts.processors > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_bounds_the_clients),
        cmocka_unit_test(open_files_bound_the_clients_and_the_command_is_given),
        cmocka_unit_test(there_is_never_less_than_no_room),
        cmocka_unit_test(what_is_not_known_is_no_bound),
        cmocka_unit_test(this_host_has_some_memory_and_some_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
