// SPDX-License-Identifier: Apache-2.0
// The metrics page: GET /metrics, in the text format of Prometheus, by libmicrohttpd on a thread of its own.
#ifndef POOLMARK_BROKER_METRICS_H
#define POOLMARK_BROKER_METRICS_H

#include "base/err.h"
#include "broker/broker.h"

struct metrics;

// Serves `broker`'s statistics at `address`, which gets the port when it was 0. -errno with the text in
// `err`.
int metrics_open(struct metrics **metrics, struct broker *broker, struct address *address, struct err *err)
    __attribute__((warn_unused_result));
void metrics_close(struct metrics *metrics); // before the broker is closed; NULL is allowed

#endif
