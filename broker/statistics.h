// SPDX-License-Identifier: Apache-2.0
// Prints a broker's statistics: for people (SIGUSR1) and for Prometheus (the metrics page). Any thread.
#ifndef POOLMARK_BROKER_STATISTICS_H
#define POOLMARK_BROKER_STATISTICS_H

#include "broker/bytes.h"

#include <stdio.h>

// Prints counts, a table of the pools, the bytes by account (NULL: not known), and the last line "end of statistics".
void statistics_print(const struct broker_statistics *statistics, const struct pool_set *pools,
                      const struct bytes *bytes, FILE *to);

// Prometheus text exposition format, version 0.0.4.
void statistics_print_prometheus(const struct broker_statistics *statistics,
                                 const struct broker_config *config, FILE *to);

// Share of gets that the pool served from memory it owned, 0 to 1; 1 when there were no gets.
double statistics_hit_rate(const struct pool_stats *stats);

#endif
