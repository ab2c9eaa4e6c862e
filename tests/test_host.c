// SPDX-License-Identifier: Apache-2.0
#include "base/host.h"
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int64_t number(const json_t *facts, const char *name)
{
    const json_t *value = json_object_get(facts, name);
    assert_non_null(value);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void every_fact_is_there_or_null(void **state)
{
    (void)state;
    static const char *const names[] = {
        "cores", "memory_bytes", "kernel",      "os",     "cpu_model", "governor", "cpu_mitigations",
        "thp",   "page_bytes",   "virtualised", "cgroup", "limits",    "settings", "loaded"};
    static const char *const limits[] = {"nofile_soft", "nofile_hard", "file_max",      "nr_open",
                                         "port_range",  "somaxconn",   "tcp_mem_pages", "max_map_count"};
    json_t *facts = host_facts();
    assert_non_null(facts);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(json_object_get(facts, names[i]));
    }
    assert_int_equal(json_object_size(facts), sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        assert_non_null(json_object_get(json_object_get(facts, "limits"), limits[i]));
    }
    json_decref(facts);
}

static void facts_agree_with_the_system(void **state)
{
    (void)state;
    json_t *facts = host_facts();
    assert_in_range(number(facts, "cores"), 1, sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(number(facts, "page_bytes"), sysconf(_SC_PAGESIZE));
    assert_int_equal(number(facts, "memory_bytes"), sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    struct utsname name;
    assert_int_equal(uname(&name), 0);
    const char *kernel = json_string_value(json_object_get(facts, "kernel"));
    assert_non_null(strstr(kernel, name.release));
    const json_t *loaded = json_object_get(facts, "loaded");
    assert_string_equal(json_string_value(json_object_get(loaded, "allocator")), heap_name());
    assert_memory_equal(json_string_value(json_object_get(loaded, "libc")), "glibc ", 6);
    const json_t *ports = json_object_get(json_object_get(facts, "limits"), "port_range");
    if (!json_is_null(ports)) {
        assert_int_equal(json_array_size(ports), 2);
        assert_true(json_integer_value(json_array_get(ports, 0)) <
                    json_integer_value(json_array_get(ports, 1)));
    }
    json_decref(facts);
}

static void neither_the_host_s_name_nor_the_user_s_is_among_them(void **state)
{
    (void)state;
    struct utsname name;
    assert_int_equal(uname(&name), 0);
    json_t *facts = host_facts();
    assert_null(json_object_get(facts, "hostname"));
    assert_null(json_object_get(facts, "user"));
    // A name such as "x" may stand anywhere by chance.
    if (strlen(name.nodename) > 8) {
        char *text = json_dumps(facts, 0);
        assert_null(strstr(text, name.nodename));
        free(text);
    }
    json_decref(facts);
}

// In a process of its own: a limit that was lowered cannot be raised again.
static int in_child(int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(body());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int raise_from_64_to_128(void)
{
    struct rlimit few = {.rlim_cur = 64, .rlim_max = 128}, now;
    int64_t limit = 0;
    if (setrlimit(RLIMIT_NOFILE, &few) < 0 || host_raise_nofile(&limit, NULL) < 0 || limit != 128 ||
        getrlimit(RLIMIT_NOFILE, &now) < 0) {
        return 1;
    }
    return now.rlim_cur == 128 && now.rlim_max == 128 ? 0 : 2;
}

static void the_soft_limit_of_open_files_is_raised_to_the_hard_one(void **state)
{
    (void)state;
    assert_int_equal(in_child(raise_from_64_to_128), 0);
}

static int raise_twice(void)
{
    int64_t first = 0, second = 0;
    if (host_raise_nofile(&first, NULL) < 0 || host_raise_nofile(&second, NULL) < 0) {
        return 1;
    }
    return first == second && first > 0 ? 0 : 2;
}

static void raising_it_again_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(in_child(raise_twice), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fact_is_there_or_null),
        cmocka_unit_test(facts_agree_with_the_system),
        cmocka_unit_test(neither_the_host_s_name_nor_the_user_s_is_among_them),
        cmocka_unit_test(the_soft_limit_of_open_files_is_raised_to_the_hard_one),
        cmocka_unit_test(raising_it_again_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
