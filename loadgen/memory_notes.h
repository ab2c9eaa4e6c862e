// SPDX-License-Identifier: Apache-2.0
// Anomalies of the target's memory: whose it is, by what it is counted, and what that does not have.
#ifndef POOLMARK_LOADGEN_MEMORY_NOTES_H
#define POOLMARK_LOADGEN_MEMORY_NOTES_H

#include "loadgen/run.h"

// Once in a run: whether the watched processes are the target, all of it (owners.h). `start` and `full` are
// readings before and with the connections.
void memory_notes_watched(struct run *run, const struct sample *start, const struct sample *full);

// `kind` is the way of counting that is judged: "private", "pss" or "rss". Into the record: summary.memory_is.
void memory_notes_add(struct run *run, const char *kind, const struct sample *start,
                      const struct sample *full);

// Where memory.peak_bytes is a figure: whether the watched process had more than the highest reading (sampler_peak) for a moment.
void memory_notes_peak(struct run *run, const struct sample *peak);

// After the scenario: sessions of other clients that the target keeps (kept.h). Into the record: summary.kept_sessions.
void memory_notes_kept(struct run *run);

#endif
