// SPDX-License-Identifier: Apache-2.0
// The metrics that the broker records of itself. A suite adds up `pool.*` over the instances of a cell.
#ifndef POOLMARK_BROKER_CATALOGUE_H
#define POOLMARK_BROKER_CATALOGUE_H

#include "base/metric.h"

extern const struct metric broker_catalogue[];

#endif
