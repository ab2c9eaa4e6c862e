// SPDX-License-Identifier: Apache-2.0
#include "base/record.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/host_settings.h"
#include "base/record_files.h"
#include "base/record_seal.h"
#include "base/time_namespace.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

// After so many, one more says that others were left out: a million clients that fail alike are one finding.
enum {
    ANOMALIES_MAX = 1000,
    PATIENCE_S = 5, // retries on a full disk
};

struct record {
    char *dir;
    char *program; // for messages on stderr
    json_t *root;
    int64_t started_ns, started_wall_ns; // one instant, by both clocks
    char not_made[128]; // the first value that could not be made since the last save; empty when all were
    const struct metric *catalogue; // NULL: accepts every metric
    const char *measures;           // the rows of it that the record may have; NULL: all
    char stray[128]; // the first metric that is not as the catalogue has it; empty when all are
};

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

char *record_path(const struct record *record, const char *name, char *path, unsigned long size)
{
    snprintf(path, size, "%s/%s", record->dir, name);
    return path;
}

const char *record_dir(const struct record *record)
{
    return record->dir;
}

int record_make_folder(const char *dir)
{
    char *path = strdup(dir);
    if (!path) {
        return -ENOMEM;
    }
    int code = 0;
    for (char *at = path + 1; code == 0; at++) {
        if (*at == '/' || *at == '\0') {
            char kept = *at;
            *at = '\0';
            if (mkdir(path, 0755) < 0 && errno != EEXIST) {
                code = -errno;
            }
            *at = kept;
            if (kept == '\0') {
                break;
            }
        }
    }
    free(path);
    return code;
}

// The arguments, without the folders of this machine: an absolute path is cut to its last component. jansson
// refuses text that is not UTF-8; such an argument is recorded as "?".
static json_t *command_line(int argc, char **argv)
{
    json_t *command = json_array();
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        char text[4096];
        const char *value = strchr(argument, '=');
        value = argument[0] == '-' && value ? value + 1 : argument;
        if (i == 0 || value[0] == '/') {
            snprintf(text, sizeof text, "%.*s%s", (int)(value - argument), argument, last_component(value));
            argument = text;
        }
        json_t *made = json_string(argument);
        json_array_append_new(command, made ? made : json_string("?"));
    }
    return command;
}

// KIND-YYYYMMDDTHHMMSSZ-xxxx. The four digits only separate runs that began in the same second. No
// measurement depends on them, so they need no seed.
static void make_id(const char *kind, const char *utc, char *id, size_t size)
{
    unsigned short random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (unsigned short)(clock_now_ns() ^ getpid());
    }
    char compact[21];
    size_t used = 0;
    for (const char *at = utc; *at; at++) {
        if (*at != '-' && *at != ':') {
            compact[used++] = *at;
        }
    }
    compact[used] = '\0';
    snprintf(id, size, "%s-%s-%04x", kind, compact, random);
}

static json_t *first_content(const char *kind, int argc, char **argv)
{
    char utc[21], id[128];
    clock_format_utc(clock_wall_ns(), utc);
    make_id(kind, utc, id, sizeof id);
    json_t *clock = time_namespace_known() ? json_string("host") : json_null();
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:n,s:o,s:o,s:o,s:o,s:{},s:{},s:[]}", //
                     "schema", RECORD_SCHEMA, "id", id, "kind", kind, "status", "running", "started_utc", utc,
                     "ended_utc", "clock", clock, "tool", build_json(), "command", command_line(argc, argv),
                     "host", host_facts(), "config", "metrics", "anomalies");
}

// Writes DIR/run.json.new without syncing it to the disk, since a sync would disturb the measurement. After a
// crash of the machine the run has to be repeated anyway.
static int write_new(const struct record *record, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        return -errno;
    }
    errno = 0;
    int failed = json_dumpf(record->root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) < 0;
    failed |= fputc('\n', file) == EOF;
    failed |= ferror(file);
    int code = failed ? (errno ? -errno : -EIO) : 0;
    if (fclose(file) != 0 && code == 0) {
        code = -errno;
    }
    return code;
}

static int save(const struct record *record, bool first, struct err *err)
{
    char path[4096], fresh[4096];
    record_path(record, "run.json", path, sizeof path);
    record_path(record, "run.json.new", fresh, sizeof fresh);
    int code = write_new(record, fresh);
    if (code == 0 && first) {
        // link, unlike rename, does not replace: if two programs open the same folder, one gets it.
        code = link(fresh, path) < 0 ? -errno : 0;
        if ((code == -EPERM || code == -EOPNOTSUPP || code == -ENOSYS) && access(path, F_OK) < 0) {
            code = rename(fresh, path) < 0 ? -errno : 0; // a file system without hard links
        }
        unlink(fresh);
    } else if (code == 0 && rename(fresh, path) < 0) {
        code = -errno;
    }
    if (code < 0) {
        unlink(fresh);
        if (code == -EEXIST) {
            return err_set(err, code,
                           "%s already holds a run.json; a record is never overwritten: name another folder",
                           record->dir);
        }
        return err_set(err, code, "cannot write %s: %s", path, strerror(-code));
    }
    return 0;
}

static void free_record(struct record *record)
{
    json_decref(record->root);
    free(record->program);
    free(record->dir);
    free(record);
}

int record_open(struct record **record, const char *dir, const char *kind, int argc, char **argv,
                struct err *err)
{
    struct record *made = calloc(1, sizeof *made);
    if (!made) {
        return err_set(err, -ENOMEM, "cannot record to %s: out of memory", dir);
    }
    made->dir = strdup(dir);
    made->program = strdup(argc > 0 ? last_component(argv[0]) : "poolmark");
    made->root = first_content(kind, argc, argv);
    made->started_ns = clock_now_ns();
    made->started_wall_ns = clock_wall_ns();
    int code;
    if (!made->dir || !made->program || !made->root) {
        code = err_set(err, -ENOMEM, "cannot record to %s: out of memory", dir);
        goto fail;
    }
    code = record_make_folder(dir);
    if (code < 0) {
        err_set(err, code, "cannot make the folder %s: %s", dir, strerror(-code));
        goto fail;
    }
    code = save(made, true, err);
    if (code < 0) {
        goto fail;
    }
    *record = made;
    return 0;

fail:
    free_record(made);
    return code;
}

static void remember_failure(struct record *record, const char *what)
{
    if (!record->not_made[0]) {
        snprintf(record->not_made, sizeof record->not_made, "%s", what);
    }
}

// The object that holds the last name of `dotted`, made when it is not there; `*last` is that name.
static json_t *parent_of(json_t *root, const char *dotted, const char **last)
{
    json_t *object = root;
    const char *at = dotted;
    for (const char *dot = strchr(at, '.'); dot; dot = strchr(at, '.')) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(dot - at), at);
        json_t *next = json_object_get(object, name);
        if (!json_is_object(next)) {
            next = json_object();
            if (json_object_set_new(object, name, next) < 0) {
                return NULL;
            }
        }
        object = next;
        at = dot + 1;
    }
    *last = at;
    return object;
}

void record_set(struct record *record, const char *dotted, json_t *value)
{
    const char *last;
    if (!value) {
        remember_failure(record, dotted);
        return;
    }
    json_t *parent = parent_of(record->root, dotted, &last);
    if (!parent) {
        json_decref(value);
    }
    if (!parent || json_object_set_new(parent, last, value) < 0) {
        remember_failure(record, dotted);
    }
}

void record_use(struct record *record, const struct metric *catalogue, const char *measures)
{
    record->catalogue = catalogue;
    record->measures = measures;
}

// record_close reports a stray metric: by then everything that was measured is saved.
static void check_metric(struct record *record, const char *name, const char *unit, const char *better)
{
    if (!record->catalogue || record->stray[0])
        return;
    const struct metric *metric = metric_find(record->catalogue, name);
    if (!metric || strcmp(metric->unit, unit) != 0 || strcmp(metric->better, better) != 0 ||
        (record->measures && !metric_is_among(metric, record->measures)))
        snprintf(record->stray, sizeof record->stray, "%s [%s, %s]", name, unit, better);
}

static void put_metric(struct record *record, const char *name, json_t *metric)
{
    if (!metric || json_object_set_new(json_object_get(record->root, "metrics"), name, metric) < 0) {
        remember_failure(record, name);
    }
}

// A metric that never is below 0, and here it is.
static bool is_outside(const struct record *record, const char *name, double value)
{
    const struct metric *metric =
        value < 0 && record->catalogue ? metric_find(record->catalogue, name) : NULL;
    return metric && !(metric->traits & METRIC_SIGNED);
}

static void refuse_value(struct record *record, const char *name, double value, const char *unit,
                         const char *better)
{
    char why[80];
    snprintf(why, sizeof why, "%.9g came out, and it cannot be below 0", value);
    record_metric_unknown(record, name, why, unit, better);
    record_anomaly(record, "domain", "%s: %s: no figure", name, why);
}

void record_metric(struct record *record, const char *name, double value, const char *unit,
                   const char *better)
{
    if (is_outside(record, name, value)) {
        refuse_value(record, name, value, unit, better);
        return;
    }
    check_metric(record, name, unit, better);
    put_metric(record, name,
               json_pack("{s:o,s:s,s:s}", "value", isfinite(value) ? json_real(value) : json_null(), "unit",
                         unit, "better", better));
}

void record_metric_doubtful(struct record *record, const char *name, double value, const char *doubt,
                            const char *unit, const char *better)
{
    if (is_outside(record, name, value)) {
        refuse_value(record, name, value, unit, better);
        return;
    }
    check_metric(record, name, unit, better);
    put_metric(
        record, name,
        json_pack("{s:f,s:s,s:s,s:s}", "value", value, "unit", unit, "better", better, "doubt", doubt));
}

void record_metric_unknown(struct record *record, const char *name, const char *why, const char *unit,
                           const char *better)
{
    check_metric(record, name, unit, better);
    put_metric(record, name,
               json_pack("{s:n,s:s,s:s,s:s}", "value", "unit", unit, "better", better, "why", why));
}

static void add_anomaly(struct record *record, const char *what, const char *text)
{
    double at_s = round((double)(clock_now_ns() - record->started_ns) / (double)NS_PER_MS) / 1e3;
    json_t *anomaly = json_pack("{s:f,s:s,s:s}", "at_s", at_s, "what", what, "text", text);
    if (!anomaly || json_array_append_new(json_object_get(record->root, "anomalies"), anomaly) < 0) {
        remember_failure(record, "anomalies");
    }
}

void record_anomaly(struct record *record, const char *what, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!json_is_true(json_object_get(json_object_get(record->root, "config"), "quiet"))) {
        fprintf(stderr, "%s: %s: %s\n", record->program, what, text);
    }
    size_t count = json_array_size(json_object_get(record->root, "anomalies"));
    if (count < ANOMALIES_MAX) {
        add_anomaly(record, what, text);
    } else if (count == ANOMALIES_MAX) {
        add_anomaly(record, "many", "there were more anomalies than a record keeps; the others are left out");
    }
}

void record_leave_out(struct record *record, const char *folder)
{
    json_t *list = json_object_get(record->root, "files_left_out");
    if (!list) {
        record_set(record, "files_left_out", json_array());
        list = json_object_get(record->root, "files_left_out");
    }
    if (json_array_append_new(list, json_string(folder)) < 0)
        remember_failure(record, "files_left_out");
}

int record_save(struct record *record, struct err *err)
{
    int code = save(record, false, err);
    if (code == 0 && record->not_made[0]) {
        code = err_set(err, -ENOMEM,
                       "%s/run.json lacks \"%s\": its value was not finite, not UTF-8 or out of memory",
                       record->dir, record->not_made);
        record->not_made[0] = '\0';
    }
    return code;
}

static int save_and_seal(struct record *record, struct err *err)
{
    int code = record_save(record, err);
    int sealed = record_seal(record->dir, code < 0 ? NULL : err);
    return code < 0 ? code : sealed;
}

// A disk that is full for a moment is no reason to lose the end of a record.
static int save_patiently(struct record *record, struct err *err)
{
    int64_t limit_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;
    int code = save_and_seal(record, err);
    while ((code == -ENOSPC || code == -EDQUOT) && clock_now_ns() < limit_ns) {
        clock_sleep_until_ns(clock_now_ns() + NS_PER_S / 10);
        code = save_and_seal(record, err);
    }
    return code;
}

// A setting of the host that is another than at the start: figures are of both.
static void note_host_changes(struct record *record)
{
    json_t *now = host_facts();
    json_t *changes = host_changes(json_object_get(record->root, "host"), now);
    json_decref(now);
    const char *fact;
    json_t *change;
    json_object_foreach(changes, fact, change)
    {
        char *was = json_dumps(json_array_get(change, 0), JSON_COMPACT | JSON_ENCODE_ANY);
        char *is = json_dumps(json_array_get(change, 1), JSON_COMPACT | JSON_ENCODE_ANY);
        record_anomaly(
            record, "host_changed",
            "%s of the host was %s at the start of the run and is %s at its end: figures are of both", fact,
            was ? was : "?", is ? is : "?");
        free(was);
        free(is);
    }
    if (json_object_size(changes) > 0) {
        record_set(record, "host.changed", changes);
    } else {
        json_decref(changes);
    }
}

#define STRAY                                                                                                \
    "the metric %s is not in the catalogue, or has another unit or direction there, or is none that such a " \
    "run measures"

// Whether all is there that the record should hold. What is not is an anomaly, and the caller's error as well.
static bool note_gaps(struct record *record, const char *unlisted)
{
    if (record->stray[0])
        record_anomaly(record, "catalogue", STRAY, record->stray);
    if (record->not_made[0])
        record_anomaly(record, "unwritten",
                       "\"%s\" is missing: its value was not finite, not UTF-8 or out of memory",
                       record->not_made);
    if (unlisted)
        record_anomaly(record, "unwritten", "a file is not in the list of files: %s", unlisted);
    return !record->stray[0] && !record->not_made[0] && !unlisted;
}

// How many metrics and anomalies there are, so that one that is taken out is missed.
static json_t *entries_json(const struct record *record)
{
    json_t *names = json_object(), *one;
    size_t i;
    json_array_foreach(json_object_get(record->root, "anomalies"), i, one)
    {
        const char *what = json_string_value(json_object_get(one, "what"));
        json_int_t count = json_integer_value(json_object_get(names, what));
        json_object_set_new(names, what, json_integer(count + 1));
    }
    return json_pack("{s:I,s:o}", "metrics",
                     (json_int_t)json_object_size(json_object_get(record->root, "metrics")), "anomalies",
                     names);
}

int record_close(struct record *record, const char *status, struct err *err)
{
    if (!record) {
        return 0;
    }
    note_host_changes(record);
    char utc[21];
    // The wall clock may have been set meanwhile: the end is the start plus the time by the monotonic clock.
    clock_format_utc(record->started_wall_ns + (clock_now_ns() - record->started_ns), utc);
    // A file that cannot be read is left out; the others are listed.
    struct err unlisted = {0};
    json_t *files;
    int listed =
        record_files(&files, record->dir, json_object_get(record->root, "files_left_out"), &unlisted);
    bool whole = note_gaps(record, listed < 0 ? unlisted.text : NULL);
    record_set(record, "status",
               json_string(!whole && strcmp(status, "complete") == 0 ? "incomplete" : status));
    record_set(record, "ended_utc", json_string(utc));
    record_set(record, "entries", entries_json(record));
    record_set(record, "seal", json_string(RECORD_SEAL));
    record_set(record, "files", files);
    if (listed < 0)
        err_set(err, listed, "%s", unlisted.text);
    int code = save_patiently(record, listed < 0 ? NULL : err);
    if (code == 0 && record->stray[0])
        code = err_set(listed < 0 ? NULL : err, -EINVAL, "%s/run.json: " STRAY, record->dir, record->stray);
    free_record(record);
    return listed < 0 ? listed : code;
}
