// SPDX-License-Identifier: Apache-2.0
#include "tests/load_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *const load_run_engines[LOAD_ENGINES] = {"paho", "raw"};

void load_run_add(struct load_run *load, const char *first, ...)
{
    va_list list;
    va_start(list, first);
    for (const char *next = first; next; next = va_arg(list, const char *)) {
        assert_true(load->count < LOAD_ARGUMENTS_MAX - 1);
        load->arguments[load->count++] = next;
    }
    va_end(list);
    load->arguments[load->count] = NULL;
}

void load_run_prepare(struct load_run *load, uint16_t port, const char *scenario, const char *engine)
{
    *load = (struct load_run){0};
    temp_dir_make(load->dir);
    temp_dir_file(load->dir, "load", load->record);
    snprintf(load->target, sizeof load->target, "mqtt://127.0.0.1:%u", (unsigned)port);
    load_run_add(load, scenario, "--target", load->target, "--engine", engine, "--record", load->record,
                 NULL);
}

void load_run_read(struct load_run *load)
{
    char file[TEMP_PATH_SIZE];
    char *text = temp_file_read(temp_dir_file(load->record, "run.json", file));
    assert_non_null(text);
    load->json = json_loads(text, 0, NULL);
    assert_non_null(load->json);
    free(text);
}

void load_run_finish(struct load_run *load)
{
    json_decref(load->json);
    temp_dir_remove(load->dir);
}

double load_run_metric(const struct load_run *load, const char *name)
{
    json_t *value = json_object_get(json_object_get(json_object_get(load->json, "metrics"), name), "value");
    if (!json_is_number(value))
        fail_msg("the record has no metric %s", name);
    return json_number_value(value);
}

bool load_run_withholds(const struct load_run *load, const char *metric)
{
    json_t *one = json_object_get(json_object_get(load->json, "metrics"), metric);
    const char *why = json_string_value(json_object_get(one, "why"));
    return json_is_null(json_object_get(one, "value")) && why && strstr(why, "see the anomaly ");
}

int64_t load_run_book(const struct load_run *load, const char *source, const char *column)
{
    json_t *line = json_object_get(json_object_get(load->json, "books"), source);
    if (!line)
        fail_msg("the books have no line %s", source);
    return json_integer_value(json_object_get(line, column));
}

const char *load_run_status(const struct load_run *load)
{
    return json_string_value(json_object_get(load->json, "status"));
}

int64_t load_run_reason(const struct load_run *load, const char *what, const char *name)
{
    return json_integer_value(
        json_object_get(json_object_get(json_object_get(load->json, "summary"), what), name));
}

int load_run_to_end(struct load_run *load)
{
    load_run_add(load, "--quiet", NULL);
    int code = process_run("poolmark-loadgen", load->arguments, NULL);
    load_run_read(load);
    return code;
}

static void print_part(const struct load_run *load, const char *key)
{
    char *text = json_dumps(json_object_get(load->json, key), JSON_COMPACT | JSON_ENCODE_ANY);
    print_error("%s: %s\n", key, text ? text : "-");
    free(text);
}

void load_run_completes(struct load_run *load)
{
    load_run_check_complete(load, load_run_to_end(load));
}

void load_run_check_complete(struct load_run *load, int code)
{
    if (code == 0 && strcmp(load_run_status(load), "complete") == 0)
        return;
    static const char *const parts[] = {"status", "books", "anomalies", "command"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        print_part(load, parts[i]);
    fail_msg("the generator ended with %d", code);
}

void load_run_assert_file(const struct load_run *load, const char *name, const char *text)
{
    char file[TEMP_PATH_SIZE];
    char *content = temp_file_read(temp_dir_file(load->record, name, file));
    assert_non_null(content);
    if (!strstr(content, text))
        fail_msg("%s has no \"%s\"", name, text);
    free(content);
}
