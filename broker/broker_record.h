// SPDX-License-Identifier: Apache-2.0
// The record of a broker's run. It logs pool events to stderr. With --record it also writes run.json (kind
// "broker"), pools.csv (a row per pool at start, each second and at the end), events.csv, and account.csv (the bytes of
// the process by account: at start, when the connections are at another level, every 20 s, at SIGUSR1, at the end).
//
//     broker_record_open(&record, dir, argc, argv, &config, &err);     // dir NULL: only the log
//     broker_open(&broker, &config, broker_record_on_event, record, &err);
//     broker_record_sample(record, broker_pools(broker));
//     broker_record_close(record, &statistics, "complete", &err);
#ifndef POOLMARK_BROKER_BROKER_RECORD_H
#define POOLMARK_BROKER_BROKER_RECORD_H

#include "base/err.h"
#include "broker/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct broker_record;

int broker_record_open(struct broker_record **record, const char *dir, int argc, char **argv,
                       const struct broker_config *config, struct err *err)
    __attribute__((warn_unused_result));

// A pool_listener, with the record as its context. Any thread.
void broker_record_on_event(void *record, const char *pool_name, const struct pool_event *event);

void broker_record_set_addresses(struct broker_record *record, const struct address *addresses, int count);
// Says on stderr what the file of --state had lost, and notes it as an anomaly `state`. NULL: nothing.
void broker_record_warn_of_state(struct broker_record *record, const char *warning);
// The bound of the process's memory (broker/bounds.h), for its metrics; BOUNDS_ANY: the options set none.
void broker_record_set_bound(struct broker_record *record, int64_t bytes);
// Whether it has a file for the bytes; otherwise they need not be read.
bool broker_record_has_bytes(const struct broker_record *record);
void broker_record_bytes(struct broker_record *record, const char *moment, const struct bytes *bytes);
void broker_record_no_bytes(struct broker_record *record, int code); // -errno: they could not be read
void broker_record_sample(struct broker_record *record, const struct pool_set *pools);

// `statistics` is NULL when the broker never opened. A NULL `record` is allowed. -errno when a file could not
// be written.
int broker_record_close(struct broker_record *record, const struct broker_statistics *statistics,
                        const char *status, struct err *err);

#endif
