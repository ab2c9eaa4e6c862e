// SPDX-License-Identifier: Apache-2.0
// Trees of files as kernels show them, below a folder of the test's own.
#include "base/host_settings.h"

#include "base/host_files.h"
#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CPUFREQ "/sys/devices/system/cpu/cpufreq"

static char root[TEMP_PATH_SIZE];

static int make_root(void **state)
{
    (void)state;
    temp_dir_make(root);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    temp_dir_remove(root);
    return 0;
}

static void assert_json(json_t *found, const char *expected)
{
    char *text = json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    assert_string_equal(text, expected);
    free(text);
    json_decref(found);
}

static void assert_setting(const char *name, const char *expected)
{
    json_t *settings = host_settings(root);
    json_t *one = json_object_get(settings, name);
    assert_non_null(one);
    assert_json(json_incref(one), expected);
    json_decref(settings);
}

static void each_setting_is_what_its_file_says(void **state)
{
    (void)state;
    static const struct {
        const char *name, *path, *text, *expected;
    } cases[] = {
        {"thp_defrag", "/sys/kernel/mm/transparent_hugepage/defrag",
         "always defer [defer+madvise] madvise never\n", "\"defer+madvise\""},
        {"overcommit_memory", "/proc/sys/vm/overcommit_memory", "2\n", "2"},
        {"numa_balancing", "/proc/sys/kernel/numa_balancing", "1\n", "1"},
        {"address_randomisation", "/proc/sys/kernel/randomize_va_space", "1\n", "\"conservative\""},
        {"smt", "/sys/devices/system/cpu/smt/control", "forceoff\n", "\"forceoff\""},
        {"netdev_max_backlog", "/proc/sys/net/core/netdev_max_backlog", "300\n", "300"},
        {"tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n", "[4096,131072,6291456]"},
        {"tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n", "[4096,16384,4194304]"},
        {"tcp_syncookies", "/proc/sys/net/ipv4/tcp_syncookies", "0\n", "0"},
        {"tcp_max_syn_backlog", "/proc/sys/net/ipv4/tcp_max_syn_backlog", "128\n", "128"},
        {"tcp_congestion_control", "/proc/sys/net/ipv4/tcp_congestion_control", "cubic\n", "\"cubic\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_setting(cases[i].name, "null");
        temp_dir_write(root, cases[i].path, cases[i].text);
        assert_setting(cases[i].name, cases[i].expected);
    }
    temp_dir_write(root, "/proc/sys/net/ipv4/tcp_rmem", "4096\n"); // not what it should be
    assert_setting("tcp_rmem", "null");
}

static void turbo_is_one_word_for_both_drivers(void **state)
{
    (void)state;
    assert_setting("turbo", "null");
    temp_dir_write(root, CPUFREQ "/boost", "1\n");
    assert_setting("turbo", "\"on\"");
    temp_dir_write(root, CPUFREQ "/boost", "0\n");
    assert_setting("turbo", "\"off\"");
    temp_dir_write(root, "/sys/devices/system/cpu/intel_pstate/no_turbo", "0\n");
    assert_setting("turbo", "\"on\"");
    temp_dir_write(root, "/sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
    assert_setting("turbo", "\"off\"");
}

static void a_governor_of_one_processor_alone_is_seen(void **state)
{
    (void)state;
    assert_json(host_governor(root), "null");
    temp_dir_write(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil\n");
    assert_json(host_governor(root), "\"schedutil\""); // an old kernel: no policies
    temp_dir_write(root, CPUFREQ "/policy0/scaling_governor", "performance\n");
    temp_dir_write(root, CPUFREQ "/policy1/scaling_governor", "performance\n");
    assert_json(host_governor(root), "\"performance\"");
    temp_dir_write(root, CPUFREQ "/policy1/scaling_governor", "powersave\n");
    temp_dir_write(root, CPUFREQ "/policy10/scaling_governor", "ondemand\n");
    assert_json(host_governor(root), "\"ondemand, performance, powersave\"");
    assert_setting("energy_preference", "null");
    temp_dir_write(root, CPUFREQ "/policy1/energy_performance_preference", "power\n");
    assert_setting("energy_preference", "\"power\"");
}

static void connection_tracking_is_loaded_not_loaded_or_not_known(void **state)
{
    (void)state;
    assert_setting("conntrack", "null");
    temp_dir_write(root, "/sys/module/tcp_bbr/version", "");
    assert_setting("conntrack", "\"not loaded\"");
    temp_dir_write(root, "/sys/module/nf_conntrack/parameters/acct", "N\n");
    assert_setting("conntrack", "\"loaded\"");
}

// In a process of its own.
static void addresses_of_a_process_that_are_not_randomised_are_told(void **state)
{
    (void)state;
    temp_dir_write(root, "/proc/sys/kernel/randomize_va_space", "2\n");
    assert_setting("address_randomisation", "\"full\"");
    pid_t pid = fork();
    if (pid == 0) {
        int persona = personality(0xffffffff);
        if (persona < 0 || personality((unsigned long)persona | ADDR_NO_RANDOMIZE) < 0) {
            _exit(77);
        }
        json_t *settings = host_settings(root);
        const char *told = json_string_value(json_object_get(settings, "address_randomisation"));
        _exit(told && strcmp(told, "off") == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void assert_changes(const char *before, const char *after, const char *expected)
{
    json_t *old = json_loads(before, 0, NULL), *fresh = json_loads(after, 0, NULL);
    assert_non_null(old);
    assert_non_null(fresh);
    assert_json(host_changes(old, fresh), expected);
    json_decref(old);
    json_decref(fresh);
}

static void a_fact_that_was_changed_is_named_with_both_values(void **state)
{
    (void)state;
    assert_changes("{\"thp\":\"madvise\",\"settings\":{\"smt\":\"on\"}}",
                   "{\"thp\":\"always\",\"settings\":{\"smt\":\"off\"}}",
                   "{\"settings.smt\":[\"on\",\"off\"],\"thp\":[\"madvise\",\"always\"]}");
    // Not known at one of both times.
    assert_changes("{\"thp\":null,\"governor\":\"x\",\"settings\":{\"smt\":\"on\"}}",
                   "{\"thp\":\"always\",\"governor\":null}", "{}");
    // Without a limit of a control group there is null.
    assert_changes("{\"cgroup\":{\"memory_high_bytes\":null}}", "{\"cgroup\":{\"memory_high_bytes\":1}}",
                   "{\"cgroup.memory_high_bytes\":[null,1]}");
    // The program's own doing, and memory that comes and goes.
    assert_changes("{\"memory_bytes\":1,\"limits\":{\"nofile_soft\":1},\"loaded\":{\"settings\":\"\"}}",
                   "{\"memory_bytes\":2,\"limits\":{\"nofile_soft\":2},\"loaded\":{\"settings\":\"x\"}}",
                   "{}");
}

// scripts/run-tests runs the thread sanitizer's build without (setarch -R).
static void randomise_addresses(void)
{
    int persona = personality(0xffffffff);
    if (persona >= 0)
        personality((unsigned long)persona & ~(unsigned long)ADDR_NO_RANDOMIZE);
}

int main(void)
{
    randomise_addresses();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_setting_is_what_its_file_says, make_root, remove_root),
        cmocka_unit_test_setup_teardown(turbo_is_one_word_for_both_drivers, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_governor_of_one_processor_alone_is_seen, make_root, remove_root),
        cmocka_unit_test_setup_teardown(connection_tracking_is_loaded_not_loaded_or_not_known, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(addresses_of_a_process_that_are_not_randomised_are_told, make_root,
                                        remove_root),
        cmocka_unit_test(a_fact_that_was_changed_is_named_with_both_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
