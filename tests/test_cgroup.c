// SPDX-License-Identifier: Apache-2.0
// Trees of files as kernels show them, below a folder of the test's own.
#include "base/cgroup.h"
#include "base/cgroup_memory.h"

#include "base/host.h"
#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_version_2_takes_the_least_of_all_ancestors(void **state)
{
    (void)state;
    char root[TEMP_PATH_SIZE];
    temp_dir_make(root);
    temp_dir_write(root, "/proc/7/cgroup", "0::/outer/inner\n");
    temp_dir_write(
        root, "/proc/self/mountinfo",
        "24 1 0:22 / /proc rw - proc proc rw\n30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/inner/memory.max", "max\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/memory.max", "1073741824\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/inner/memory.high", "536870912\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/memory.high", "max\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/inner/cpu.max", "150000 100000\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/cpu.max", "max 100000\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/inner/cpu.stat",
                   "usage_usec 5\nnr_periods 9\nnr_throttled 3\nthrottled_usec 1500\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/inner/pids.max", "max\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/inner/pids.events", "max 2\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/pids.max", "40\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/pids.events", "max 3\n");
    temp_dir_write(root, "/sys/fs/cgroup/outer/pids.current", "29\n");
    struct cgroup cgroup;
    cgroup_read(&cgroup, root, 7);
    assert_int_equal(cgroup.memory_limit_bytes, 1073741824);
    assert_int_equal(cgroup.memory_high_bytes, 536870912);
    assert_true(cgroup.cpu_quota_cores == 1.5 && cgroup.cpu_unified);
    assert_int_equal(cgroup.throttled_periods, 3);
    assert_int_equal(cgroup.throttled_ns, 1500000);
    assert_int_equal(cgroup.pids_limit, 40);
    assert_int_equal(cgroup.pids_left, 11); // of the group above
    assert_int_equal(cgroup.pids_refused, 5);
    temp_dir_remove(root);
}

static void test_version_1_has_a_hierarchy_for_each_controller(void **state)
{
    (void)state;
    char root[TEMP_PATH_SIZE];
    temp_dir_make(root);
    temp_dir_write(root, "/proc/7/cgroup", "4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/\n");
    temp_dir_write(root, "/proc/self/mountinfo",
                   "30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                   "31 1 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
                   "32 1 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    temp_dir_write(root, "/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "30000\n");
    temp_dir_write(root, "/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
    temp_dir_write(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    temp_dir_write(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    temp_dir_write(root, "/sys/fs/cgroup/cpu,cpuacct/c/cpu.stat",
                   "nr_periods 9\nnr_throttled 4\nthrottled_time 77\n");
    struct cgroup cgroup;
    cgroup_read(&cgroup, root, 7);
    assert_int_equal(cgroup.memory_limit_bytes, 536870912);
    assert_true(cgroup.cpu_quota_cores == 0.3 && !cgroup.cpu_unified);
    assert_int_equal(cgroup.throttled_periods, 4);
    assert_int_equal(cgroup.throttled_ns, 77);
    temp_dir_remove(root);
}

// A container without a namespace of its own: /proc names the group by the host's path, of which the mount
// shows the end.
static void test_what_a_container_does_not_see_is_taken_off_the_path(void **state)
{
    (void)state;
    char root[TEMP_PATH_SIZE];
    temp_dir_make(root);
    temp_dir_write(root, "/proc/7/cgroup", "4:memory:/docker/f00/job\n");
    temp_dir_write(root, "/proc/self/mountinfo",
                   "31 1 0:27 /docker/f00 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4000\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n");
    struct cgroup cgroup;
    cgroup_read(&cgroup, root, 7);
    assert_int_equal(cgroup.memory_limit_bytes, 3000);
    temp_dir_remove(root);
}

static void test_what_is_not_there_is_not_known(void **state)
{
    (void)state;
    struct cgroup cgroup;
    cgroup_read(&cgroup, "/nowhere", 7);
    assert_int_equal(cgroup.memory_limit_bytes, -1);
    assert_true(cgroup.cpu_quota_cores < 0);
    assert_int_equal(cgroup.throttled_periods, -1);
    json_t *facts = host_facts();
    assert_true(json_is_object(json_object_get(facts, "cgroup")));
    json_decref(facts);
}

static void test_the_folder_of_the_group_is_found_and_those_above_it(void **state)
{
    (void)state;
    char root[TEMP_PATH_SIZE], folder[TEMP_PATH_SIZE], wanted[2 * TEMP_PATH_SIZE];
    bool unified = true;
    temp_dir_make(root);
    temp_dir_write(root, "/proc/7/cgroup", "4:memory:/a/b\n0::/\n");
    temp_dir_write(root, "/proc/self/mountinfo",
                   "30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                   "31 1 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n");
    size_t top = cgroup_memory_folder(folder, sizeof folder, &unified, root, 7);
    assert_false(unified);
    snprintf(wanted, sizeof wanted, "%s/sys/fs/cgroup/memory/a/b", root);
    assert_string_equal(folder, wanted);
    assert_true(cgroup_folder_up(folder, top));
    assert_true(cgroup_folder_up(folder, top));
    snprintf(wanted, sizeof wanted, "%s/sys/fs/cgroup/memory", root);
    assert_string_equal(folder, wanted);
    assert_false(cgroup_folder_up(folder, top));
    assert_string_equal(folder, wanted);
    assert_int_equal(cgroup_memory_folder(folder, sizeof folder, &unified, root, 8), 0);
    temp_dir_write(root, "/proc/7/cgroup", "0::/a\n");
    temp_dir_write(root, "/proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_true(cgroup_memory_folder(folder, sizeof folder, &unified, root, 7) > 0);
    assert_true(unified);
    temp_dir_remove(root);
}

// The limit that binds may be of a group above; kills are counted where the process is, in the files of its version.
static void test_the_limit_that_binds_memory_and_the_kills_are_found(void **state)
{
    (void)state;
    char root[TEMP_PATH_SIZE], wanted[2 * TEMP_PATH_SIZE];
    struct cgroup_memory memory;
    temp_dir_make(root);
    temp_dir_write(root, "/proc/7/cgroup", "4:memory:/a/b\n0::/\n");
    temp_dir_write(root, "/proc/self/mountinfo",
                   "31 1 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/a/memory.failcnt", "5\n");
    temp_dir_write(root, "/sys/fs/cgroup/memory/a/b/memory.oom_control",
                   "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    cgroup_memory_find(&memory, root, 7);
    snprintf(wanted, sizeof wanted, "%s/sys/fs/cgroup/memory/a", root);
    assert_string_equal(memory.limited, wanted);
    assert_true(memory.limit_bytes == 536870912 && memory.kills == 3 && memory.hits == 5);
    assert_string_equal(cgroup_memory_file(&memory), "memory.limit_in_bytes");

    temp_dir_write(root, "/proc/8/cgroup", "0::/c\n");
    temp_dir_write(root, "/proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    temp_dir_write(root, "/sys/fs/cgroup/c/memory.max", "4096\n");
    temp_dir_write(root, "/sys/fs/cgroup/c/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n");
    cgroup_memory_find(&memory, root, 8);
    assert_true(memory.limit_bytes == 4096 && memory.kills == 1 && memory.hits == 2);
    assert_string_equal(cgroup_memory_file(&memory), "memory.max");
    temp_dir_write(root, "/sys/fs/cgroup/c/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\n");
    cgroup_memory_read(&memory);
    assert_true(memory.kills == 2 && memory.hits == 3);
    cgroup_memory_find(&memory, root, 9); // there is no such process
    assert_true(memory.limit_bytes == -1 && memory.kills == -1 && memory.folder[0] == '\0');
    cgroup_memory_read(&memory);
    temp_dir_remove(root);
}

static void check_frozen(const char *root, int wanted)
{
    struct cgroup_freezers *freezers = cgroup_find_freezers(root);
    assert_non_null(freezers);
    assert_int_equal(cgroup_is_frozen(freezers, root, 7), wanted);
    free(freezers);
}

// A host may have the freezer of version 1 and that of version 2: either holds a process.
static void test_a_freezer_of_either_version_is_found(void **state)
{
    (void)state;
    char root[TEMP_PATH_SIZE];
    temp_dir_make(root);
    temp_dir_write(root, "/proc/self/mountinfo",
                   "30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                   "31 1 0:27 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n");
    temp_dir_write(root, "/proc/7/cgroup", "4:freezer:/a\n0::/b\n");
    check_frozen(root, 0); // the group shows no file, as the topmost
    temp_dir_write(root, "/sys/fs/cgroup/freezer/a/freezer.state", "FREEZING\n");
    temp_dir_write(root, "/sys/fs/cgroup/unified/b/cgroup.events", "populated 1\nfrozen 0\n");
    check_frozen(root, 0);
    temp_dir_write(root, "/sys/fs/cgroup/freezer/a/freezer.state", "FROZEN\n");
    check_frozen(root, 1);
    temp_dir_write(root, "/sys/fs/cgroup/freezer/a/freezer.state", "THAWED\n");
    temp_dir_write(root, "/sys/fs/cgroup/unified/b/cgroup.events", "populated 1\nfrozen 1\n");
    check_frozen(root, 1);
    temp_dir_write(root, "/proc/self/mountinfo",
                   "31 1 0:27 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n");
    check_frozen(root, 0);
    struct cgroup_freezers *freezers = cgroup_find_freezers(root);
    assert_int_equal(cgroup_is_frozen(freezers, root, 8), -1); // there is no such process
    free(freezers);
    temp_dir_write(root, "/proc/self/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n");
    assert_null(cgroup_find_freezers(root));
    assert_int_equal(cgroup_is_frozen(NULL, root, 7), -1);
    temp_dir_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_2_takes_the_least_of_all_ancestors),
        cmocka_unit_test(test_version_1_has_a_hierarchy_for_each_controller),
        cmocka_unit_test(test_what_a_container_does_not_see_is_taken_off_the_path),
        cmocka_unit_test(test_what_is_not_there_is_not_known),
        cmocka_unit_test(test_the_folder_of_the_group_is_found_and_those_above_it),
        cmocka_unit_test(test_the_limit_that_binds_memory_and_the_kills_are_found),
        cmocka_unit_test(test_a_freezer_of_either_version_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
