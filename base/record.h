// SPDX-License-Identifier: Apache-2.0
// The record of one run: a folder with run.json (results/README.md is its format, results/run.schema.json its
// schema).
//
// run.json is whole at any instant: each save writes a new file and renames it over the old one. Its "status"
// is "running" from the start, so that a killed run differs from one that ended. record_close makes it
// "complete", "incomplete" or "failed". One thread at a time per record.
//
//     record_open(&record, "out", "load", argc, argv, &err);
//     record_set(record, "config.connections", json_integer(10000));
//     record_metric(record, "connect.p99", 1.7e6, "ns", "lower");
//     record_anomaly(record, "late", "the generator fell %lld ns behind its schedule", late_ns);
//     record_close(record, "complete", &err);
#ifndef POOLMARK_BASE_RECORD_H
#define POOLMARK_BASE_RECORD_H

#include "base/err.h"
#include "base/metric.h"

#include <jansson.h>

#define RECORD_SCHEMA "poolmark.run/1"

struct record;

// Makes the folder and its parents if they are missing, and writes the first run.json: schema, id, kind
// ("load", "broker", "bench"), status "running", started_utc, tool (version, commit, dirty, compiler, flags),
// command (absolute paths cut to the last component), host, and empty config, metrics and anomalies.
// -EEXIST when the folder already has a run.json: a record is never overwritten.
int record_open(struct record **record, const char *dir, const char *kind, int argc, char **argv,
                struct err *err) __attribute__((warn_unused_result));

// Makes the folder and its parents, as mkdir -p. 0 or -errno.
int record_make_folder(const char *dir) __attribute__((warn_unused_result));

const char *record_dir(const struct record *record);

// "DIR/NAME" into `path`; returns `path`.
char *record_path(const struct record *record, const char *name, char *path, unsigned long size);

// Sets the value at a dotted path ("config.rate") and makes objects on the way. Takes the reference, as
// jansson's _new. A NULL (out of memory, a number that is not finite, text that is not UTF-8) is remembered:
// the next save writes everything else and returns -ENOMEM with the path in its text.
void record_set(struct record *record, const char *dotted, json_t *value);

// From now on every metric has to be in `catalogue`, with the same unit and direction, and among the rows that
// `measures` names (metric_is_among; NULL: all). Another metric is recorded all the same, but record_close fails
// with -EINVAL and names it: a bug that the program's tests find. Both live as long as the record.
void record_use(struct record *record, const struct metric *catalogue, const char *measures);

// Adds to "metrics": {"NAME": {"value", "unit", "better"}}. `better` is "lower", "higher" or "none".
// A value that is not finite is written as null. So is one below 0 of a metric that is not METRIC_SIGNED, with a "why" and an
// anomaly `domain`: no reader would take it.
void record_metric(struct record *record, const char *name, double value, const char *unit,
                   const char *better);
// A value that may be disturbed: `doubt` is the anomaly that says by what. It is finite. As above otherwise.
void record_metric_doubtful(struct record *record, const char *name, double value, const char *doubt,
                            const char *unit, const char *better);
// A metric whose value is not known, with the reason: {"value": null, "why": ...}. As above otherwise.
void record_metric_unknown(struct record *record, const char *name, const char *why, const char *unit,
                           const char *better);

// Adds {"at_s", "what", "text"} to "anomalies" (at most 1000). Also prints it to stderr, unless
// "config.quiet" is true.
void record_anomaly(struct record *record, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// A folder below the record's, to which others may still write when the record is closed: "files" leaves out all that is in
// it, and "files_left_out" names it.
void record_leave_out(struct record *record, const char *folder);

int record_save(struct record *record, struct err *err) __attribute__((warn_unused_result));

// Sets status, ended_utc and files, saves, writes the seal (base/record_seal.h) last, and frees. Write and
// close all other files before: "files" lists the whole folder, without record_leave_out's. NULL is allowed.
int record_close(struct record *record, const char *status, struct err *err)
    __attribute__((warn_unused_result));

#endif
