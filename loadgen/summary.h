// SPDX-License-Identifier: Apache-2.0
// The results of a run: metrics for the record. overview.h prints them for people.
//
// Scenarios add rows as they go. A row is a metric of the record. results/README.md lists the metrics.
#ifndef POOLMARK_LOADGEN_SUMMARY_H
#define POOLMARK_LOADGEN_SUMMARY_H

#include "loadgen/ceilings.h"
#include "loadgen/costs.h"
#include "loadgen/limit.h"
#include "loadgen/run.h"

// Most rows are those of groups in phases, GROUP.PHASE.METRIC (scenario mix).
enum {
    SUMMARY_ROWS_MAX = 4096,
    SUMMARY_NAME_BYTES = 80,
    SUMMARY_READINGS_MAX = 6,
    SUMMARY_VERDICTS_MAX = 4,
    SUMMARY_STEPS_MAX = 64,
    SUMMARY_LIMITS_MAX = 128
};

// The minimum of samples for a percentile p, as the record has it in summary.percentiles. Records without
// this field have percentiles of any number of samples. The rank: hist_percentile_rank.
#define SUMMARY_PERCENTILES "of at least 1 / (1 - p) samples, the one of the rank p n to the nearest"

struct summary_row {
    char name[SUMMARY_NAME_BYTES];
    double value;
    const char *unit, *better;
    char why[64];      // why the value is not known; "": no reason to give
    const char *doubt; // static: the anomaly by which it may be disturbed; NULL: none
};

struct summary {
    struct summary_row rows[SUMMARY_ROWS_MAX];
    int count;
    struct { // the lines of memory.csv that the figures of memory come from
        const char *name;
        int64_t at_ns;
    } readings[SUMMARY_READINGS_MAX];
    int reading_count;
    struct summary_verdict {
        const char *name, *verdict; // static
        char why[320];
    } verdicts[SUMMARY_VERDICTS_MAX];
    int verdict_count;
    struct summary_step { // of scenario steps; NaN: not known
        int64_t connections;
        double took_ns, connect_p99_ns, delivery_p50_ns, delivery_p99_ns, bytes;
    } steps[SUMMARY_STEPS_MAX];
    int step_count;
    struct limit limit;    // of what the scenario is about; `why` is empty: nothing was judged
    struct summary_limit { // of each kind of acts that was judged, that one too; of groups in phases each
        char name[SUMMARY_NAME_BYTES]; // summary_limits.h
        struct limit limit;
        bool is_main; // of what the scenario is about
    } limits[SUMMARY_LIMITS_MAX];
    int limit_count;
    struct ceiling_note ceilings[CEILING_NOTES_MAX];
    int ceiling_count;
};

// Adds the metrics of messages that are only there when there were any, of those that there were.
void summary_add_message_faults(struct summary *summary, const struct tally *tally);

void summary_add(struct summary *summary, const char *name, double value, const char *unit,
                 const char *better);

// Adds a percentile; with too few samples (SUMMARY_PERCENTILES) its value is not known.
void summary_add_percentile(struct summary *summary, const char *name, const struct hist *hist,
                            double percent, const char *better);

// PREFIX.p50, .p99, .p99_9, .max, .mean (ns, lower), .count and .censored; nothing for an empty histogram. A time of
// HIST_HIGHEST_NS is not known.
void summary_add_latency(struct summary *summary, const char *prefix, const struct hist *hist,
                         int64_t censored);

// What a scenario concludes, in words: `name` and `verdict` are static.
void summary_add_verdict(struct summary *summary, const char *name, const char *verdict, const char *why, ...)
    __attribute__((format(printf, 4, 5)));

// Names a reading ("start", "low", "full"), so that a check of the record finds its line in memory.csv.
void summary_add_reading(struct summary *summary, const char *name, const struct sample *sample);

// Adds memory.*, kernel.*, cpu.* and generator.* from three samples: before the connects, with a tenth of
// them (may be NULL), with all. Growth within the difference that two readings of a target at rest may have
// gives no slope, but an anomaly of `run` (run->record may be NULL). The figures for a connection follow the rule of
// costs.h.
void summary_add_memory(struct summary *summary, struct run *run, const struct sample *start,
                        const struct sample *tenth, const struct sample *full);
// The same of a run that did something else between its connects: cpu.per_connection_ns is of `connects`, the sum of
// the parts in which clients connected.
void summary_add_memory_of(struct summary *summary, struct run *run, const struct sample *start,
                           const struct sample *tenth, const struct sample *full,
                           const struct cost_part *connects);

// Adds memory.start_* and memory.full_*. Private memory is judged. If it cannot be read, PSS or RSS is
// judged, the first that every reading has, and an anomaly says so. All kinds that were read are added too.
void summary_add_levels(struct summary *summary, struct run *run, const struct sample *start,
                        const struct sample *full);

// Makes the metrics unknown that an anomaly of the run withholds (withheld.h). Call it when all rows are there.
void summary_withhold(struct summary *summary, const struct run *run);

// Adds clients.* and the lag of the generator, and their anomalies.
void summary_add_clients(struct summary *summary, struct run *run);

// Local ports that connects passed over, of clients and probes.
int64_t summary_ports_passed(const struct run *run);

json_t *summary_verdicts_json(const struct summary *summary); // {NAME: {"verdict", "why"}}; a new reference

// Writes all rows into the record (may be NULL).
void summary_write(const struct summary *summary, struct record *record);

// "; the watched process 1234 ended after ..." for a reason that this explains, otherwise "". Gives `text`.
const char *summary_cause(const struct run *run, enum tally_reason reason, char *text, size_t size);

#endif
