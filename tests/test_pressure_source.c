// SPDX-License-Identifier: Apache-2.0
// What control groups and the kernel say about memory. Groups and stalls are folders and files of the test's
// own, and time is the test's own where it matters. Two tests use the host's, where it has them.
#include "tests/pressure_scene.h"

#include "base/cgroup.h"
#include "base/clock.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIPPED = 77 };

#define MIB ((int64_t)1 << 20)
#define HOUR_NS (3600 * NS_PER_S)

// 0: the clock is the system's.
static _Atomic int64_t fake_ns;

int64_t __real_clock_now_ns(void);
int64_t __wrap_clock_now_ns(void);

int64_t __wrap_clock_now_ns(void)
{
    int64_t ns = atomic_load(&fake_ns);
    return ns ? ns : __real_clock_now_ns();
}

static void write_number(const char *folder, const char *name, int64_t number)
{
    scene_write(folder, name, "%lld\n", (long long)number);
}

// What the next look wants; 0: it gave nothing back.
static int64_t wanted_by_look(struct scene *scene)
{
    int heard = scene->count;
    (void)pool_pressure_look(scene->pressure);
    return scene->count > heard ? scene->events[heard].wanted : 0;
}

static void test_a_group_of_version_2_has_its_mark_below_memory_high(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE];
    struct scene scene;
    temp_dir_make(folder);
    write_number(folder, "memory.current", 95 * MIB);
    write_number(folder, "memory.high", 100 * MIB);
    scene_write(folder, "memory.max", "max\n");
    scene_write(folder, "memory.events", "low 0\nhigh 3\nmax 0\noom 0\noom_kill 0\n");
    scene_begin(&scene);
    scene.config.group = folder;
    scene_add(&scene, "slab", "a", 0);
    scene_open(&scene);
    assert_int_equal(scene_stats(&scene).sources, POOL_PRESSURE_GROUP);
    assert_true(scene_stats(&scene).wakes_by_group);
    assert_int_equal(wanted_by_look(&scene), 10 * MIB); // down to 85 MiB
    assert_int_equal(scene.events[0].sources, POOL_PRESSURE_GROUP);
    write_number(folder, "memory.current", 90 * MIB);
    (void)pool_pressure_look(scene.pressure); // at the mark, and no new event
    assert_int_equal(scene_stats(&scene).by_group, 1);
    scene_write(folder, "memory.events", "low 0\nhigh 4\nmax 0\noom 0\noom_kill 0\n");
    (void)pool_pressure_look(scene.pressure);
    assert_int_equal(scene_stats(&scene).by_group, 2);
    (void)pool_pressure_look(scene.pressure); // the same event counts once
    assert_int_equal(scene_stats(&scene).by_group, 2);
    scene_write(folder, "memory.events", "low 0\nhigh 4\nmax 1\noom 0\noom_kill 0\n");
    (void)pool_pressure_look(scene.pressure);
    assert_int_equal(scene_stats(&scene).by_group, 3);
    scene_end(&scene);
    temp_dir_remove(folder);
}

static void test_a_group_may_have_another_limit_at_each_look(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    struct scene scene;
    temp_dir_make(folder);
    write_number(folder, "memory.current", 95 * MIB);
    scene_write(folder, "memory.high", "max\n");
    scene_write(folder, "memory.max", "max\n");
    scene_begin(&scene);
    scene.config.group = folder;
    scene_add(&scene, "slab", "a", 0);
    scene_open(&scene);
    assert_int_equal(wanted_by_look(&scene), 0); // no limit
    write_number(folder, "memory.max", 100 * MIB);
    assert_int_equal(wanted_by_look(&scene), 10 * MIB);
    scene_add(&scene, "slab", "b", 0);
    write_number(folder, "memory.high", 50 * MIB);
    assert_int_equal(wanted_by_look(&scene), 95 * MIB - 85 * MIB / 2);
    assert_int_equal(unlink(temp_dir_file(folder, "memory.current", file)), 0);
    assert_int_equal(wanted_by_look(&scene), 0); // the group is gone
    assert_int_equal(scene_stats(&scene).by_group, 2);
    scene_end(&scene);
    temp_dir_remove(folder);
}

// The kernel would write to the eventfd whose number it was told; here the test does.
static void test_a_group_of_version_1_wakes_the_thread_at_its_mark(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    struct scene scene;
    int event, usage;
    long long mark;
    const uint64_t one = 1;
    temp_dir_make(folder);
    write_number(folder, "memory.usage_in_bytes", 10 * MIB);
    write_number(folder, "memory.limit_in_bytes", 100 * MIB);
    scene_write(folder, "cgroup.event_control", "%s", "");
    scene_begin(&scene);
    scene.config.group = folder;
    scene.config.own_thread = true;
    scene.config.every_ns = HOUR_NS;
    scene_add(&scene, "slab", "a", 0);
    scene_open(&scene);
    assert_true(scene_stats(&scene).wakes_by_group);
    char *told = temp_file_read(temp_dir_file(folder, "cgroup.event_control", file));
    assert_non_null(told);
    assert_int_equal(sscanf(told, "%d %d %lld", &event, &usage, &mark), 3);
    assert_int_equal(mark, 90 * MIB);
    free(told);
    write_number(folder, "memory.usage_in_bytes", 90 * MIB - 1); // it passed the mark, and fell back a little
    assert_int_equal(write(event, &one, sizeof one), sizeof one);
    sem_wait(&scene.heard); // in vain, the time limit of all tests ends it
    assert_int_equal(scene.events[0].sources, POOL_PRESSURE_GROUP);
    assert_int_equal(scene.events[0].wanted, 5 * MIB - 1);
    scene_end(&scene);
    temp_dir_remove(folder);
}

static void test_a_group_of_version_1_without_a_limit_has_no_mark(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE];
    struct scene scene;
    temp_dir_make(folder);
    write_number(folder, "memory.usage_in_bytes", 91 * MIB);
    write_number(folder, "memory.limit_in_bytes", INT64_C(9223372036854771712));
    scene_write(folder, "cgroup.event_control", "%s", "");
    scene_begin(&scene);
    scene.config.group = folder;
    scene_open(&scene);
    assert_false(scene_stats(&scene).wakes_by_group);
    (void)pool_pressure_look(scene.pressure);
    assert_int_equal(scene_stats(&scene).by_group, 0);
    write_number(folder, "memory.limit_in_bytes", 100 * MIB); // it is looked at all the same
    (void)pool_pressure_look(scene.pressure);
    assert_int_equal(scene_stats(&scene).by_group, 1);
    scene_end(&scene);
    temp_dir_remove(folder);
}

static void write_stall(const char *folder, int64_t total_us)
{
    scene_write(folder, "memory.pressure",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=%lld\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
                (long long)total_us);
}

// Whether a look finds a stall, after so much time in which tasks were stalled for so long.
static bool finds_stall(struct scene *scene, const char *folder, int64_t after_ns, int64_t *total_us,
                        int64_t stalled_us)
{
    int64_t before = scene_stats(scene).by_stall;
    atomic_fetch_add(&fake_ns, after_ns);
    *total_us += stalled_us;
    write_stall(folder, *total_us);
    (void)pool_pressure_look(scene->pressure);
    return scene_stats(scene).by_stall > before;
}

static void test_a_stall_counts_within_its_window(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    struct scene scene;
    int64_t total_us = 123456;
    temp_dir_make(folder);
    write_stall(folder, total_us);
    scene_begin(&scene);
    scene.config.stall_file = temp_dir_file(folder, "memory.pressure", file);
    scene_add(&scene, "slab", "a", 0);
    atomic_store(&fake_ns, HOUR_NS);
    scene_open(&scene);
    char *told = temp_file_read(file); // up to the NUL: the trigger, as the kernel's documentation has it
    assert_string_equal(told, "some 150000 2000000");
    free(told);
    assert_int_equal(scene_stats(&scene).sources, POOL_PRESSURE_STALL);
    assert_true(scene_stats(&scene).wakes_by_stall);
    assert_false(finds_stall(&scene, folder, NS_PER_S, &total_us, 0));
    assert_false(finds_stall(&scene, folder, NS_PER_S, &total_us, 149999));
    assert_true(finds_stall(&scene, folder, NS_PER_S, &total_us, 150000));
    assert_int_equal(scene.count, 1);
    assert_int_equal(scene.events[0].sources, POOL_PRESSURE_STALL);
    assert_true(scene.events[0].wanted > SCENE_OBJECTS * SCENE_OBJECT_BYTES / 4);
    // Of 10 s, five times as much.
    assert_false(finds_stall(&scene, folder, 10 * NS_PER_S, &total_us, 749999));
    assert_true(finds_stall(&scene, folder, 10 * NS_PER_S, &total_us, 750000));
    assert_int_equal(unlink(file), 0);
    atomic_fetch_add(&fake_ns, NS_PER_S);
    (void)pool_pressure_look(scene.pressure);
    assert_int_equal(scene_stats(&scene).by_stall, 2);
    atomic_store(&fake_ns, 0);
    scene_end(&scene);
    temp_dir_remove(folder);
}

// --- the host's own -------------------------------------------------------------------------------------

// Without root it depends on the kernel's version whether a trigger may be had.
static void test_the_kernel_takes_the_trigger_where_it_has_psi(void **state)
{
    (void)state;
    struct scene scene;
    struct err err = {0};
    scene_begin(&scene);
    scene.config.stall_file = "/proc/pressure/memory";
    int code = pool_pressure_open(&scene.pressure, &scene.config, &err);
    bool wakes = code == 0 && scene_stats(&scene).wakes_by_stall;
    if (code == 0)
        (void)pool_pressure_look(scene.pressure);
    scene_end(&scene);
    if (code < 0 || geteuid() != 0)
        skip();
    assert_true(wakes);
}

static int64_t read_number_of(const char *folder, const char *name)
{
    char file[TEMP_PATH_SIZE];
    char *text = temp_file_read(temp_dir_file(folder, name, file));
    int64_t number = text ? atoll(text) : -1;
    free(text);
    return number;
}

// In a process of that group: idle memory of one pool comes back when another takes the group past its mark.
// Returns what is to be the exit code.
static int grow_past_the_mark(const char *folder)
{
    enum { MANY = 5000, PERCENT = 10 };
    static void *objects[MANY];
    struct scene scene;
    struct timespec until;
    scene_write(folder, "cgroup.procs", "0\n");
    scene_begin(&scene);
    scene.config.group = folder;
    scene.config.group_percent = PERCENT;
    scene.config.own_thread = true;
    scene.config.every_ns = NS_PER_S; // the kernel may tell late, or not at all when the host is very busy
    scene_add(&scene, "slab", "idle", 0);
    scene_add(&scene, "slab", "grows", 0);
    // A sanitizer takes several times as much: the mark is relative to what is used already.
    int64_t mark = read_number_of(folder, "memory.usage_in_bytes") + 8 * MIB;
    write_number(folder, "memory.limit_in_bytes", mark * 100 / PERCENT);
    scene_open(&scene);
    if (!scene_stats(&scene).wakes_by_group)
        return SKIPPED;
    struct pool *pool = pool_registry_find(scene.registry, "grows");
    for (int i = 0; i < MANY; i++)
        memset(objects[i] = pool_get(pool), 1, SCENE_OBJECT_BYTES);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    bool heard = sem_timedwait(&scene.heard, &until) == 0;
    bool right =
        heard && strcmp(scene.names[0], "idle") == 0 && scene.events[0].sources == POOL_PRESSURE_GROUP;
    for (int i = 0; i < MANY; i++)
        pool_put(pool, objects[i]);
    pool_registry_release(scene.registry, pool);
    scene_end(&scene);
    return right ? 0 : 1;
}

// A new group of version 1. False where there are none, or none can be made.
static bool make_group(char folder[static TEMP_PATH_SIZE])
{
    char own[TEMP_PATH_SIZE - 64];
    bool unified = false;
    if (!cgroup_memory_folder(own, sizeof own, &unified, "", getpid()) || unified)
        return false;
    snprintf(folder, TEMP_PATH_SIZE, "%s/poolmark-test-%d", own, (int)getpid());
    return mkdir(folder, 0755) == 0;
}

static void test_a_group_that_grows_wakes_the_thread_for_real(void **state)
{
    (void)state;
    char folder[TEMP_PATH_SIZE];
    int status = -1;
    if (!make_group(folder))
        skip();
    pid_t child = fork();
    if (child == 0)
        _exit(grow_past_the_mark(folder));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    for (int tries = 0; rmdir(folder) != 0 && errno == EBUSY && tries < 1000; tries++)
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS); // the kernel still takes the process out of it
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_of_version_2_has_its_mark_below_memory_high),
        cmocka_unit_test(test_a_group_may_have_another_limit_at_each_look),
        cmocka_unit_test(test_a_group_of_version_1_wakes_the_thread_at_its_mark),
        cmocka_unit_test(test_a_group_of_version_1_without_a_limit_has_no_mark),
        cmocka_unit_test(test_a_stall_counts_within_its_window),
        cmocka_unit_test(test_the_kernel_takes_the_trigger_where_it_has_psi),
        cmocka_unit_test(test_a_group_that_grows_wakes_the_thread_for_real), // last: its child must not go on
    };
    return cmocka_run_group_tests_name("pressure_source", tests, NULL, NULL);
}
