// SPDX-License-Identifier: Apache-2.0
// Against a real broker with --pressure: its pools give back what lies idle when a bound or a control group asks
// for it, and not before. The pools are of strategy sync, whose sweep is an hour away: nothing else gives back.
#include "base/heap.h"
#include "base/procmem.h"
#include "tests/broker_process.h"
#include "tests/many_clients.h"
#include "tests/pressure_scene.h"
#include "tests/raw_client.h"
#include "tests/temp_dir.h"

#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    CLIENTS = 60,
    CROWD = 1000,
    CONNECTION_BYTES = 3072 + 2 * 4096 + 6144,
    LOOKS = 3,
    STEP_MS = 50,
    GUARD_STEPS = 1200
};

// Clients that come and leave; their objects then lie idle.
static void visit(struct process *broker)
{
    static struct raw_client clients[CLIENTS];
    char name[16];
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(name, sizeof name, "c%d", i);
        raw_connect_clean(&clients[i], process_port(broker), name);
    }
    for (int i = 0; i < CLIENTS; i++)
        raw_disconnect(&clients[i]);
}

// Waits until that line of the statistics is at least `least`.
static int64_t await(struct process *broker, const char *name, int64_t least)
{
    int64_t value = 0;
    for (int step = 0; step < GUARD_STEPS; step++) {
        if ((value = process_statistic(broker, name)) >= least)
            return value;
        (void)poll(NULL, 0, STEP_MS);
    }
    fail_msg("%s is %lld, and never became %lld", name, (long long)value, (long long)least);
    return value;
}

static void above_the_bound_idle_objects_go_back_and_others_are_served(void **state)
{
    (void)state;
    struct process *broker = process_start_broker("--pool", "sync", "--shape", "classic", "--sweep-every",
                                                  "1h", "--pressure", "bound=100KiB", NULL);
    struct raw_client stays;
    raw_connect_clean(&stays, process_port(broker), "stays");
    visit(broker);
    int64_t bytes = await(broker, "pressure_back_bytes", CLIENTS * CONNECTION_BYTES / 2);
    assert_true(bytes <= (CLIENTS + 1) * (int64_t)CONNECTION_BYTES);
    assert_true(process_statistic(broker, "pressure_by_bound") > 0);
    assert_int_equal(process_statistic(broker, "pressure_by_group"), 0);
    raw_subscribe(&stays, "a/b", 1);
    raw_publish(&stays, "a/b", "still here", 0, false);
    raw_expect_publish(&stays, "a/b", "still here", 0);
    visit(broker); // gets make the objects anew
    raw_disconnect(&stays);
    assert_non_null(strstr(process_errors(broker), "more than 100 KiB in all pools (--pressure)"));
    process_stop_saying(broker, "memory pressure (bound): pools gave back");
}

static int64_t private_bytes(struct process *broker)
{
    struct procmem memory;
    assert_int_equal(procmem_read(process_pid(broker), &memory), 0);
    return memory.private_bytes;
}

// Objects that went back to malloc are no relief: the system has to get their pages. Of the objects of others that
// are still there, some lie among those pages.
static void what_pools_give_back_leaves_the_process(void **state)
{
    (void)state;
    struct many_clients crowd, stay;
    if (strcmp(heap_name(), "glibc") != 0)
        skip(); // a sanitizer's allocator keeps what was freed
    struct process *broker = process_start_broker("--pool", "sync", "--shape", "classic", "--sweep-every",
                                                  "1h", "--pressure", "bound=1MiB", NULL);
    many_clients_connect(&crowd, process_port(broker), CROWD, 50, "crowd");
    many_clients_connect(&stay, process_port(broker), 10, 1, "stay");
    int64_t peak = private_bytes(broker), now = peak;
    assert_true(peak > CROWD * (int64_t)CONNECTION_BYTES);
    many_clients_close(&crowd);
    for (int step = 0; step < GUARD_STEPS && now > peak / 2; step++) {
        (void)poll(NULL, 0, STEP_MS);
        now = private_bytes(broker);
    }
    assert_in_range(now, 0, peak / 2);
    many_clients_ping(&stay);
    many_clients_close(&stay);
    assert_int_equal(process_stop(broker), 0);
}

static void a_control_group_asks_only_when_it_is_near_its_limit(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE], option[TEMP_PATH_SIZE + 8];
    temp_dir_make(folder);
    scene_write(folder, "memory.high", "100000000\n");
    scene_write(folder, "memory.current", "89000000\n");
    snprintf(option, sizeof option, "group=%s", folder);
    struct process *broker = process_start_broker("--pool", "sync", "--shape", "classic", "--sweep-every",
                                                  "1h", "--pressure", option, NULL);
    visit(broker);
    await(broker, "pressure_looks", process_statistic(broker, "pressure_looks") + LOOKS);
    assert_int_equal(process_statistic(broker, "pressure_trims"), 0);
    scene_write(folder, "memory.current", "91000000\n");
    await(broker, "pressure_back_bytes", CLIENTS * CONNECTION_BYTES / 2);
    assert_int_equal(process_statistic(broker, "pressure_by_bound"), 0);
    assert_int_equal(process_stop(broker), 0);
    temp_dir_remove(folder);
}

static void the_record_has_what_came_back(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE], record[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE + 16];
    temp_dir_make(folder);
    struct process *broker =
        process_start_broker("--pool", "sync", "--sweep-every", "1h", "--shape", "classic", "--pressure",
                             "bound=1", "--record", temp_dir_file(folder, "record", record), NULL);
    visit(broker);
    int64_t bytes = await(broker, "pressure_back_bytes", 1);
    assert_int_equal(process_stop(broker), 0);
    snprintf(file, sizeof file, "%s/run.json", record);
    json_t *run = json_load_file(file, 0, NULL);
    json_t *metrics = json_object_get(run, "metrics"), *config = json_object_get(run, "config");
    json_t *metric = json_object_get(metrics, "pool.pressure_back_bytes");
    assert_true(json_number_value(json_object_get(metric, "value")) >= (double)bytes);
    assert_string_equal(json_string_value(json_array_get(json_object_get(config, "pressure"), 0)), "bound=1");
    json_decref(run);
    temp_dir_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(above_the_bound_idle_objects_go_back_and_others_are_served),
        cmocka_unit_test(what_pools_give_back_leaves_the_process),
        cmocka_unit_test(a_control_group_asks_only_when_it_is_near_its_limit),
        cmocka_unit_test(the_record_has_what_came_back),
    };
    return cmocka_run_group_tests_name("e2e_pressure", tests, NULL, NULL);
}
