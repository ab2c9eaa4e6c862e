// SPDX-License-Identifier: Apache-2.0
#include "base/record.h"
#include "base/build.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[TEMP_PATH_SIZE], run[TEMP_PATH_SIZE], json[TEMP_PATH_SIZE];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    temp_dir_make(place->dir);
    temp_dir_file(place->dir, "results/runs/one", place->run);
    temp_dir_file(place->dir, "results/runs/one/run.json", place->json);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    temp_dir_remove(place->dir);
    free(place);
    return 0;
}

static struct record *open_quietly(const struct place *place)
{
    static char *argv[] = {"/opt/poolmark/build/poolmark-loadgen", "connect", "--connections", "10", NULL};
    struct record *record = NULL;
    struct err err = {{0}};
    assert_int_equal(record_open(&record, place->run, "load", 4, argv, &err), 0);
    record_set(record, "config.quiet", json_true());
    return record;
}

static json_t *load(const struct place *place)
{
    json_error_t error;
    json_t *root = json_load_file(place->json, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        fail_msg("%s:%d: %s", place->json, error.line, error.text);
    }
    return root;
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    assert_non_null(text);
    return text;
}

static void has_form(const char *text, const char *form)
{
    size_t i = 0;
    for (; form[i] && text[i]; i++) {
        bool fits = form[i] == '9'   ? strchr("0123456789", text[i]) != NULL
                    : form[i] == 'x' ? strchr("0123456789abcdef", text[i]) != NULL
                                     : form[i] == text[i];
        if (!fits) {
            break;
        }
    }
    if (form[i] || text[i]) {
        fail_msg("\"%s\" has not the form %s", text, form);
    }
}

static void opening_makes_the_folders_and_a_running_record(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    json_t *root = load(place);
    assert_string_equal(text_at(root, "schema"), "poolmark.run/1");
    assert_string_equal(text_at(root, "kind"), "load");
    assert_string_equal(text_at(root, "status"), "running");
    has_form(text_at(root, "id"), "load-99999999T999999Z-xxxx");
    has_form(text_at(root, "started_utc"), "9999-99-99T99:99:99Z");
    assert_true(json_is_null(json_object_get(root, "ended_utc")));
    const json_t *tool = json_object_get(root, "tool");
    assert_string_equal(text_at(tool, "version"), build_facts()->version);
    assert_string_equal(text_at(tool, "commit"), build_facts()->commit);
    assert_string_equal(text_at(tool, "compiler"), build_facts()->compiler);
    assert_string_equal(text_at(tool, "flags"), build_facts()->flags);
    const json_t *dirty = json_object_get(tool, "dirty"); // null where the tree is no checkout
    assert_true(json_is_boolean(dirty) || json_is_null(dirty));
    assert_true(json_integer_value(json_object_get(json_object_get(root, "host"), "cores")) > 0);
    assert_true(json_is_object(json_object_get(root, "config")));
    assert_true(json_is_object(json_object_get(root, "metrics")));
    assert_true(json_is_array(json_object_get(root, "anomalies")));
    json_decref(root);
    assert_int_equal(record_close(record, "complete", NULL), 0);
}

static void the_command_tells_nothing_of_the_machine_s_folders(void **state)
{
    struct place *place = *state;
    char absolute[TEMP_PATH_SIZE + 20];
    snprintf(absolute, sizeof absolute, "--record=%s", place->run);
    char *argv[] = {"./build/poolmark-loadgen",       "connect",       "--record", place->run,       absolute,
                    "--target=mqtt://127.0.0.1:1883", "relative/path", "/",        "not UTF-8 \xff", NULL};
    static const char *const expected[] = {
        "poolmark-loadgen", "connect", "--record", "one", "--record=one", "--target=mqtt://127.0.0.1:1883",
        "relative/path",    "/",       "?"};
    struct record *record = NULL;
    assert_int_equal(record_open(&record, place->run, "load", 9, argv, NULL), 0);
    assert_int_equal(record_close(record, "complete", NULL), 0);
    json_t *root = load(place);
    const json_t *command = json_object_get(root, "command");
    assert_int_equal(json_array_size(command), 9);
    for (size_t i = 0; i < 9; i++) {
        assert_string_equal(json_string_value(json_array_get(command, i)), expected[i]);
    }
    json_decref(root);
}

static void values_are_set_at_dotted_paths(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    record_set(record, "seed", json_integer(7));
    record_set(record, "config.rate", json_real(10.5));
    record_set(record, "config.target.port", json_integer(1883));
    record_set(record, "config.rate", json_integer(11));
    record_set(record, "seed.low", json_integer(8)); // what stood there gives way
    assert_int_equal(record_save(record, NULL), 0);
    json_t *root = load(place);
    const json_t *config = json_object_get(root, "config");
    assert_int_equal(json_integer_value(json_object_get(config, "rate")), 11);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(config, "target"), "port")), 1883);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "seed"), "low")), 8);
    assert_string_equal(text_at(root, "status"), "running");
    json_decref(root);
    assert_int_equal(record_close(record, "complete", NULL), 0);
}

static void metrics_have_value_unit_and_direction(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    record_metric(record, "connect.p99", 1.7e6, "ns", "lower");
    record_metric(record, "pool.hit_rate", 0.1, "ratio", "higher");
    record_metric(record, "ack.p99", NAN, "ns", "lower");
    record_metric(record, "ack.max", INFINITY, "ns", "lower");
    assert_int_equal(record_close(record, "complete", NULL), 0);
    json_t *root = load(place);
    const json_t *metrics = json_object_get(root, "metrics"), *p99 = json_object_get(metrics, "connect.p99");
    assert_true(json_real_value(json_object_get(p99, "value")) == 1.7e6);
    assert_string_equal(text_at(p99, "unit"), "ns");
    assert_string_equal(text_at(p99, "better"), "lower");
    assert_true(json_is_null(json_object_get(json_object_get(metrics, "ack.p99"), "value")));
    assert_true(json_is_null(json_object_get(json_object_get(metrics, "ack.max"), "value")));
    json_decref(root);
    char *text = temp_file_read(place->json);
    assert_non_null(strstr(text, "\"value\": 0.1,"));
    free(text);
}

static void a_metric_beside_the_catalogue_fails_the_record(void **state)
{
    static const struct metric catalogue[] = {
        {"connect.p99", "ns", "lower", METRIC_PRIMARY, "1 in 100 took longer"}, {0}};
    static const struct {
        const char *name, *unit, *better, *measures;
        int code;
    } cases[] = {{"connect.p99", "ns", "lower", NULL, 0},
                 {"connect.p99", "ns", "lower", "delivery.* connect.*", 0},
                 {"connect.p99", "ns", "lower", "delivery.* connect", -EINVAL},
                 {"connect.p98", "ns", "lower", NULL, -EINVAL},
                 {"connect.p99", "us", "lower", NULL, -EINVAL},
                 {"connect.p99", "ns", "none", NULL, -EINVAL}};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        struct record *record = open_quietly(place);
        record_use(record, catalogue, cases[i].measures);
        record_metric(record, cases[i].name, 1, cases[i].unit, cases[i].better);
        assert_int_equal(record_close(record, "complete", &err), cases[i].code);
        assert_true(cases[i].code == 0 || strstr(err.text, cases[i].name));
        json_t *root = load(place); // what was measured is kept
        assert_non_null(json_object_get(json_object_get(root, "metrics"), cases[i].name));
        assert_string_equal(text_at(root, "status"), cases[i].code ? "incomplete" : "complete");
        const json_t *anomaly = json_array_get(json_object_get(root, "anomalies"), 0);
        assert_true(cases[i].code == 0 || strcmp(text_at(anomaly, "what"), "catalogue") == 0);
        json_decref(root);
        assert_int_equal(unlink(place->json), 0);
    }
}

static void a_value_below_0_is_none_of_a_metric_that_has_none(void **state)
{
    static const struct metric catalogue[] = {
        {"connect.p99", "ns", "lower", METRIC_PRIMARY, "1 in 100 took longer"},
        {"soak.memory_slope", "B/h", "lower", METRIC_SIGNED, "growth an hour"},
        {0}};
    struct place *place = *state;
    struct err err = {0};
    struct record *record = open_quietly(place);
    record_use(record, catalogue, NULL);
    record_metric(record, "connect.p99", -1.5, "ns", "lower");
    record_metric(record, "soak.memory_slope", -1.5, "B/h", "lower");
    assert_int_equal(record_close(record, "complete", &err), 0);
    json_t *root = load(place), *metrics = json_object_get(root, "metrics");
    json_t *refused = json_object_get(metrics, "connect.p99");
    assert_true(json_is_null(json_object_get(refused, "value")));
    assert_non_null(strstr(json_string_value(json_object_get(refused, "why")), "-1.5 came out"));
    json_t *anomaly = json_array_get(json_object_get(root, "anomalies"), 0);
    assert_string_equal(json_string_value(json_object_get(anomaly, "what")), "domain");
    json_t *slope = json_object_get(metrics, "soak.memory_slope");
    assert_true(json_number_value(json_object_get(slope, "value")) < 0);
    json_decref(root);
}

static void anomalies_are_kept_in_order_with_their_time(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    record_anomaly(record, "late", "fell %d ns behind", 5);
    record_anomaly(record, "dropped", "lost %s", "three");
    assert_int_equal(record_close(record, "incomplete", NULL), 0);
    json_t *root = load(place);
    const json_t *anomalies = json_object_get(root, "anomalies");
    assert_int_equal(json_array_size(anomalies), 2);
    assert_string_equal(text_at(json_array_get(anomalies, 0), "what"), "late");
    assert_string_equal(text_at(json_array_get(anomalies, 0), "text"), "fell 5 ns behind");
    assert_string_equal(text_at(json_array_get(anomalies, 1), "text"), "lost three");
    assert_true(json_real_value(json_object_get(json_array_get(anomalies, 1), "at_s")) >= 0);
    json_decref(root);
}

static void a_flood_of_anomalies_is_cut_and_says_so(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    for (int i = 0; i < 1500; i++) {
        record_anomaly(record, "failed", "client %d", i);
    }
    assert_int_equal(record_close(record, "incomplete", NULL), 0);
    json_t *root = load(place);
    const json_t *anomalies = json_object_get(root, "anomalies");
    assert_int_equal(json_array_size(anomalies), 1001);
    assert_string_equal(text_at(json_array_get(anomalies, 1000), "what"), "many");
    json_decref(root);
}

static void closing_gives_status_and_end(void **state)
{
    struct place *place = *state;
    assert_int_equal(record_close(open_quietly(place), "incomplete", NULL), 0);
    json_t *root = load(place);
    assert_string_equal(text_at(root, "status"), "incomplete");
    has_form(text_at(root, "ended_utc"), "9999-99-99T99:99:99Z");
    json_decref(root);
    assert_int_equal(record_close(NULL, "complete", NULL), 0);
}

static void write_file(const struct place *place, const char *name, const char *text)
{
    char path[TEMP_PATH_SIZE];
    FILE *file = fopen(temp_dir_file(place->run, name, path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const struct place *place, const char *name)
{
    char path[TEMP_PATH_SIZE];
    assert_int_equal(mkdir(temp_dir_file(place->run, name, path), 0755), 0);
}

static void closing_lists_every_file_with_size_and_checksum(void **state)
{
    const struct place *place = *state;
    char path[TEMP_PATH_SIZE];
    struct record *record = open_quietly(place);
    write_file(place, "empty.csv", "");
    make_folder(place, "deep");
    write_file(place, "deep/abc", "abc");
    make_folder(place, "other");
    write_file(place, "other/run.json", "{}");
    write_file(place, "other/theirs", "x");
    make_folder(place, "ranks");
    make_folder(place, "ranks/1");
    write_file(place, "ranks/1/late", "x"); // may still change
    write_file(place, "ranks/note", "");
    record_leave_out(record, "ranks/1");
    record_leave_out(record, "ranks/2"); // need not be there
    assert_int_equal(symlink("empty.csv", temp_dir_file(place->run, "link", path)), 0);
    assert_int_equal(record_close(record, "complete", NULL), 0);
    json_t *root = load(place);
    json_t *files = json_object_get(root, "files");
    assert_int_equal(json_object_size(files), 3);
    assert_non_null(json_object_get(files, "ranks/note"));
    assert_int_equal(json_array_size(json_object_get(root, "files_left_out")), 2);
    json_t *empty = json_object_get(files, "empty.csv"), *abc = json_object_get(files, "deep/abc");
    assert_int_equal(json_integer_value(json_object_get(empty, "bytes")), 0);
    assert_int_equal(json_integer_value(json_object_get(abc, "bytes")), 3);
    // The examples of FIPS 180.
    assert_string_equal(json_string_value(json_object_get(empty, "sha256")),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(json_string_value(json_object_get(abc, "sha256")),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    json_decref(root);
}

static void closing_seals_run_json_last(void **state)
{
    const struct place *place = *state;
    char seal[TEMP_PATH_SIZE], command[3 * TEMP_PATH_SIZE];
    struct record *record = open_quietly(place);
    temp_dir_file(place->run, "run.json.sha256", seal);
    assert_int_equal(access(seal, F_OK), -1); // what still runs has none
    assert_int_equal(record_close(record, "complete", NULL), 0);
    json_t *root = load(place);
    assert_string_equal(text_at(root, "seal"), "run.json.sha256");
    assert_int_equal(json_object_size(json_object_get(root, "files")), 0);
    json_decref(root);
    snprintf(command, sizeof command, "cd %s && sha256sum -c --strict --quiet run.json.sha256", place->run);
    assert_int_equal(system(command), 0);
    write_file(place, "run.json", "{}\n");
    snprintf(command, sizeof command, "cd %s && sha256sum -c --status run.json.sha256", place->run);
    assert_int_not_equal(system(command), 0);
}

static void a_seal_that_cannot_be_written_fails_the_close(void **state)
{
    struct place *place = *state;
    struct err err = {{0}};
    struct record *record = open_quietly(place);
    make_folder(place, "run.json.sha256");
    assert_int_equal(record_close(record, "complete", &err), -EISDIR);
    assert_non_null(strstr(err.text, "run.json.sha256"));
    json_t *root = load(place);
    assert_string_equal(text_at(root, "status"), "complete");
    json_decref(root);
}

static void a_record_is_never_overwritten(void **state)
{
    struct place *place = *state;
    assert_int_equal(record_close(open_quietly(place), "complete", NULL), 0);
    char *before = temp_file_read(place->json);
    struct record *second = NULL;
    struct err err = {{0}};
    assert_int_equal(record_open(&second, place->run, "load", 0, NULL, &err), -EEXIST);
    assert_null(second);
    assert_non_null(strstr(err.text, place->run));
    assert_non_null(strstr(err.text, "name another folder"));
    char *after = temp_file_read(place->json);
    assert_string_equal(before, after);
    free(before);
    free(after);
    char left[TEMP_PATH_SIZE];
    assert_int_equal(access(temp_dir_file(place->run, "run.json.new", left), F_OK), -1);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct place *place = *state;
    char file[TEMP_PATH_SIZE], below[TEMP_PATH_SIZE];
    temp_dir_file(place->dir, "plain", file);
    temp_dir_file(place->dir, "plain/run", below);
    FILE *made = fopen(file, "we");
    assert_int_equal(fclose(made), 0);
    struct record *record = NULL;
    struct err err = {{0}};
    assert_int_equal(record_open(&record, below, "load", 0, NULL, &err), -ENOTDIR);
    assert_non_null(strstr(err.text, below));
    assert_int_equal(record_open(&record, file, "load", 0, NULL, &err), -ENOTDIR);
}

static void a_value_that_could_not_be_made_fails_one_save_and_keeps_the_rest(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    struct err err = {{0}};
    record_set(record, "config.rate", json_real(NAN)); // jansson makes none
    record_set(record, "config.other", json_integer(1));
    assert_int_equal(record_save(record, &err), -ENOMEM);
    assert_non_null(strstr(err.text, "config.rate"));
    json_t *root = load(place);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "config"), "other")), 1);
    json_decref(root);
    assert_int_equal(record_save(record, &err), 0);
    assert_int_equal(record_close(record, "complete", NULL), 0);
}

static void a_save_that_fails_leaves_the_record_before_it(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    // The name of the new file is taken by a folder: it cannot be written.
    char fresh[TEMP_PATH_SIZE];
    assert_int_equal(mkdir(temp_dir_file(place->run, "run.json.new", fresh), 0755), 0);
    struct err err = {{0}};
    assert_int_equal(record_save(record, &err), -EISDIR);
    assert_non_null(strstr(err.text, place->json));
    json_t *root = load(place);
    assert_string_equal(text_at(root, "status"), "running");
    json_decref(root);
    assert_int_equal(rmdir(fresh), 0);
    assert_int_equal(record_close(record, "complete", NULL), 0);
}

static void readers_see_a_whole_record_at_any_instant(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 200; i++) {
            record_set(record, "config.round", json_integer(i));
            if (record_save(record, NULL) < 0) {
                _exit(1);
            }
        }
        _exit(0);
    }
    int status;
    do {
        json_decref(load(place));
    } while (waitpid(child, &status, WNOHANG) == 0);
    assert_int_equal(status, 0);
    assert_int_equal(record_close(record, "complete", NULL), 0);
}

static void paths_lie_in_the_folder(void **state)
{
    struct place *place = *state;
    struct record *record = open_quietly(place);
    char path[TEMP_PATH_SIZE], expected[TEMP_PATH_SIZE];
    assert_ptr_equal(record_path(record, "latency.hlog", path, sizeof path), path);
    assert_string_equal(path, temp_dir_file(place->run, "latency.hlog", expected));
    assert_string_equal(record_dir(record), place->run);
    assert_int_equal(record_close(record, "complete", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_makes_the_folders_and_a_running_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_command_tells_nothing_of_the_machine_s_folders, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(values_are_set_at_dotted_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_have_value_unit_and_direction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_metric_beside_the_catalogue_fails_the_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_below_0_is_none_of_a_metric_that_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(anomalies_are_kept_in_order_with_their_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_of_anomalies_is_cut_and_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_gives_status_and_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_lists_every_file_with_size_and_checksum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_seals_run_json_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_seal_that_cannot_be_written_fails_the_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_is_never_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_that_could_not_be_made_fails_one_save_and_keeps_the_rest,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_save_that_fails_leaves_the_record_before_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers_see_a_whole_record_at_any_instant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_lie_in_the_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
