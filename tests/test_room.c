// SPDX-License-Identifier: Apache-2.0
#include "loadgen/room.h"

#include "loadgen/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct engine engine = {.client_bytes = 900, .process_bytes = 1 << 20, .process_threads = 3};
enum { EACH = 5100 + 900 };

static int64_t constant(const char *name)
{
    json_t *all = room_describe();
    int64_t value = json_integer_value(json_object_get(all, name));
    json_decref(all);
    assert_true(value > 0);
    return value;
}

static struct room judged(const struct room_facts *facts, int64_t ranks, int64_t workers)
{
    struct room room;
    struct room_asked asked = {.engine = &engine, .clients = 5000, .ranks = ranks, .workers = workers};
    room_judge(&room, facts, &asked);
    return room;
}

static struct room_facts plenty(void)
{
    return (struct room_facts){
        .memory_bytes = 1LL << 40, .file_max = 1 << 30, .files = 0, .processors = 2, .processes = 1 << 20};
}

static void memory_bounds_the_clients(void **state)
{
    (void)state;
    struct room_facts facts = plenty();
    facts.memory_bytes = constant("spare_bytes") + constant("rank_bytes") + (2 << 20) + 1000LL * EACH;
    struct room room = judged(&facts, 1, 0);
    assert_int_equal(room.clients, 1000);
    assert_string_equal(room.by, "memory");
    assert_non_null(strstr(room.text, "are needed"));
    assert_non_null(strstr(room.mend, "--share fit"));
    facts.memory_bytes += 2LL * EACH; // the workers that were asked for instead of one a processor
    facts.memory_bytes += 3 << 20;
    assert_int_equal(judged(&facts, 1, 5).clients, 1002);
}

// Each rank of a host has processes besides its workers.
static void ranks_are_counted_themselves(void **state)
{
    (void)state;
    struct room_facts facts = plenty();
    facts.memory_bytes = constant("spare_bytes") + 4 * (constant("rank_bytes") + (2 << 20)) + 700LL * EACH;
    assert_int_equal(judged(&facts, 4, 0).clients, 700);
    assert_int_equal(judged(&facts, 5, 0).clients, 0);
    facts = plenty();
    facts.file_max = constant("spare_files") + 3 * constant("rank_files") + 500;
    assert_int_equal(judged(&facts, 3, 0).clients, 500);
    facts = plenty();
    facts.processes = constant("spare_processes") + 2 * constant("rank_processes") + 2 * 4 * 3;
    assert_string_equal(judged(&facts, 2, 4).by, "memory"); // there is just room for the processes
    struct room room = judged(&facts, 2, 5);
    assert_int_equal(room.clients, 0);
    assert_string_equal(room.by, "processes");
    assert_non_null(strstr(room.mend, "pids.max"));
}

// More clients have more workers.
static void a_worker_is_a_part_of_each_client(void **state)
{
    (void)state;
    static const struct engine small = {
        .client_bytes = 900, .process_bytes = 1 << 20, .process_threads = 3, .clients = 1024};
    struct room room;
    struct room_asked asked = {.engine = &small, .clients = 5000, .ranks = 1};
    struct room_facts facts = plenty();
    facts.memory_bytes = constant("spare_bytes") + constant("rank_bytes") + (2 << 20) + 100LL * (EACH + 1024);
    room_judge(&room, &facts, &asked);
    assert_int_equal(room.clients, 100);
    facts = plenty();
    facts.processes = constant("spare_processes") + constant("rank_processes") + 3 * 3;
    room_judge(&room, &facts, &asked);
    assert_int_equal(room.clients, 3 * 1024);
}

static void open_files_bound_the_clients_and_the_command_is_given(void **state)
{
    (void)state;
    struct room_facts facts = plenty();
    char mend[80];
    int64_t base = constant("spare_files") + constant("rank_files");
    facts.file_max = base + 5000;
    facts.files = 1000;
    struct room room = judged(&facts, 1, 0);
    assert_int_equal(room.clients, 4000);
    assert_string_equal(room.by, "open files of the system");
    snprintf(mend, sizeof mend, "sudo sysctl -w fs.file-max=%lld", (long long)(base + 6000));
    assert_string_equal(room.mend, mend);
}

static void there_is_never_less_than_no_room(void **state)
{
    (void)state;
    struct room_facts facts = {
        .memory_bytes = 0, .file_max = 0, .files = 100, .processors = 2, .processes = 0};
    assert_int_equal(judged(&facts, 1, 0).clients, 0);
}

static void what_is_not_known_is_no_bound(void **state)
{
    (void)state;
    struct room_facts facts = {
        .memory_bytes = -1, .file_max = -1, .files = -1, .processors = 1, .processes = -1};
    assert_int_equal(judged(&facts, 1, 0).clients, INT64_MAX);
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
    assert_true(facts.processes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_bounds_the_clients),
        cmocka_unit_test(ranks_are_counted_themselves),
        cmocka_unit_test(a_worker_is_a_part_of_each_client),
        cmocka_unit_test(open_files_bound_the_clients_and_the_command_is_given),
        cmocka_unit_test(there_is_never_less_than_no_room),
        cmocka_unit_test(what_is_not_known_is_no_bound),
        cmocka_unit_test(this_host_has_some_memory_and_some_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
