// SPDX-License-Identifier: Apache-2.0
// The metrics page: GET /metrics, in the text format of Prometheus. libmicrohttpd serves it, on a thread of
// its own.
#ifndef POOLMARK_BROKER_METRICS_H
#define POOLMARK_BROKER_METRICS_H

#include "base/err.h"
#include "broker/broker.h"

struct metrics;

// Serves the statistics of `broker` at `address`. If its port is 0, it is set to the port that the kernel
// chose. 0, or -errno with the text in `err`.
int metrics_open(struct metrics **metrics, struct broker *broker, struct address *address, struct err *err)
    __attribute__((warn_unused_result));
void metrics_close(struct metrics *metrics); // before broker_close; NULL is allowed

#endif
