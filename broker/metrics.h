// SPDX-License-Identifier: Apache-2.0
// The broker's metrics page: its statistics for Prometheus (base/http_page.h).
#ifndef POOLMARK_BROKER_METRICS_H
#define POOLMARK_BROKER_METRICS_H

#include "base/http_page.h"
#include "broker/broker.h"

// Serves the statistics of `broker` at `address`, as http_page_open does. Close it with http_page_close, before
// broker_close.
int metrics_open(struct http_page **page, struct broker *broker, struct address *address, struct err *err)
    __attribute__((warn_unused_result));

#endif
