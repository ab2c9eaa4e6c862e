// SPDX-License-Identifier: Apache-2.0
// A broker's statistics as text: for people (SIGUSR1) and for Prometheus (the metrics page). Any thread.
#ifndef POOLMARK_BROKER_STATISTICS_H
#define POOLMARK_BROKER_STATISTICS_H

#include "broker/broker.h"

#include <stdio.h>

// Counts, a table of the pools, and as last line "end of statistics".
void statistics_print(const struct broker_statistics *statistics, const struct pool_set *pools, FILE *to);

// Prometheus text exposition format, version 0.0.4.
void statistics_print_prometheus(const struct broker_statistics *statistics,
                                 const struct broker_config *config, FILE *to);

// Gets served from what the pool owned, of all; 1 when there were none.
double statistics_hit_rate(const struct pool_stats *stats);

#endif
