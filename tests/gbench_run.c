// SPDX-License-Identifier: Apache-2.0
#include "tests/gbench_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGV_MAX = 16 };

static int quiet_stdout(const char *path)
{
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_true(kept >= 0);
    assert_non_null(freopen(path, "w", stdout));
    return kept;
}

static void restore_stdout(int kept)
{
    fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    close(kept);
}

char *gbench_temporary_path(char path[static 64])
{
    strcpy(path, "/tmp/poolmark_gbench_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

int gbench_run(struct gb_suite *suite, const char *const *flags, const char *out, struct gb_outcome *outcome,
               struct err *err)
{
    char *argv[ARGV_MAX + 1] = {"test"};
    int argc = 1;
    for (; flags[argc - 1]; argc++) {
        assert_in_range(argc, 1, ARGV_MAX - 1);
        argv[argc] = (char *)flags[argc - 1];
    }
    int kept = quiet_stdout(out ? out : "/dev/null");
    int code = gb_run(suite, &argc, argv, outcome, err);
    restore_stdout(kept);
    return code;
}

json_t *gbench_run_json(struct gb_suite *suite, const char *const *flags, struct gb_outcome *outcome)
{
    char path[64], out[96];
    snprintf(out, sizeof out, "--benchmark_out=%s", gbench_temporary_path(path));
    const char *all[ARGV_MAX] = {out, "--benchmark_out_format=json", "--benchmark_list_tests=false"};
    for (int i = 3; *flags; i++, flags++) {
        assert_in_range(i, 3, ARGV_MAX - 2);
        all[i] = *flags;
    }
    struct err err = {0};
    int code = gbench_run(suite, all, NULL, outcome, &err);
    if (code != 0)
        fail_msg("gb_run: %d: %s", code, err.text);
    json_error_t error;
    json_t *document = json_load_file(path, 0, &error);
    unlink(path);
    assert_non_null(document);
    return document;
}

json_t *gbench_report(const struct gb_spec *specs, size_t count, const char *extra,
                      struct gb_outcome *outcome, json_t **document)
{
    struct gb_suite *suite;
    assert_int_equal(gb_suite_new(&suite), 0);
    struct err err = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(gb_add(suite, &specs[i], &err), 0);
    const char *flags[] = {"--benchmark_filter=all", extra ? extra : "--benchmark_min_time=0.001", NULL};
    *document = gbench_run_json(suite, flags, outcome);
    gb_suite_free(suite);
    json_t *benchmarks = json_object_get(*document, "benchmarks");
    assert_true(json_is_array(benchmarks));
    return benchmarks;
}

const char *gbench_name_at(json_t *benchmarks, size_t i)
{
    return json_string_value(json_object_get(json_array_get(benchmarks, i), "name"));
}

double gbench_number_at(json_t *benchmarks, size_t i, const char *key)
{
    json_t *value = json_object_get(json_array_get(benchmarks, i), key);
    if (!json_is_number(value))
        fail_msg("no number '%s' in benchmark %zu", key, i);
    return json_number_value(value);
}

void gbench_count_up(struct gb_state *state, void *context)
{
    struct gbench_seen *seen = context;
    atomic_fetch_add_explicit(&seen->runs, 1, memory_order_relaxed);
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++)
            gb_use(&n);
        atomic_fetch_add_explicit(&seen->iterations, n, memory_order_relaxed);
        if (n > atomic_load_explicit(&seen->longest_batch, memory_order_relaxed))
            atomic_store_explicit(&seen->longest_batch, n, memory_order_relaxed);
    }
    assert_int_equal(gb_iterations(state), gb_iterations_all(state));
}
