// SPDX-License-Identifier: Apache-2.0
#include "broker/metrics.h"

#include "broker/statistics.h"

static void print(void *context, FILE *to)
{
    struct broker *broker = context;
    struct broker_statistics statistics;
    broker_statistics(broker, &statistics);
    statistics_print_prometheus(&statistics, broker_config_of(broker), to);
}

int metrics_open(struct http_page **page, struct broker *broker, struct address *address, struct err *err)
{
    return http_page_open(page, address, print, broker, err);
}
