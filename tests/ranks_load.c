// SPDX-License-Identifier: Apache-2.0
#include "tests/ranks_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int ranks_load_run(struct load_run *load)
{
    struct ranks_run run;
    load_run_add(load, "--quiet", NULL);
    ranks_run_start(&run, RANKS_LOAD, load->arguments);
    return ranks_run_wait(&run);
}

const json_t *ranks_load_rank(const struct load_run *load, size_t rank)
{
    const json_t *ranks = json_object_get(load->json, "ranks");
    assert_int_equal(json_array_size(ranks), RANKS_LOAD);
    return json_array_get(ranks, rank);
}

int64_t ranks_load_count(const struct load_run *load, size_t rank, const char *name)
{
    const json_t *count = json_object_get(json_object_get(ranks_load_rank(load, rank), "counts"), name);
    assert_true(json_is_integer(count));
    return json_integer_value(count);
}

int64_t ranks_load_sum(const struct load_run *load, const char *name)
{
    int64_t sum = 0;
    for (size_t rank = 0; rank < RANKS_LOAD; rank++)
        sum += ranks_load_count(load, rank, name);
    return sum;
}

const char *ranks_load_anomaly(const struct load_run *load, const char *what)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(load->json, "anomalies"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "what")), what) == 0)
            return json_string_value(json_object_get(one, "text"));
    }
    return "";
}

void ranks_load_print(const struct load_run *load)
{
    const char *const parts[] = {"status", "books", "anomalies", "ranks"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *text = json_dumps(json_object_get(load->json, parts[i]), JSON_COMPACT | JSON_ENCODE_ANY);
        print_error("%s: %s\n", parts[i], text ? text : "-");
        free(text);
    }
}

void ranks_load_completes(struct load_run *load)
{
    int code = ranks_load_run(load);
    load_run_read(load);
    if (code != 0 || strcmp(load_run_status(load), "complete") != 0) {
        ranks_load_print(load);
        fail_msg("the generator ended with %d", code);
    }
    for (size_t rank = 0; rank < RANKS_LOAD; rank++) {
        const json_t *of = ranks_load_rank(load, rank);
        assert_int_equal(json_integer_value(json_object_get(of, "rank")), rank);
        assert_false(json_is_true(json_object_get(of, "lost")));
        assert_string_equal(json_string_value(json_object_get(of, "ended")), "in order");
        assert_true(json_is_integer(json_object_get(json_object_get(of, "host"), "cores")));
    }
}
