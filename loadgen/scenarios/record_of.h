// SPDX-License-Identifier: Apache-2.0
// Whose the records are that --watch-record names: a record of another broker says nothing of the target, however it runs.
#ifndef POOLMARK_LOADGEN_SCENARIOS_RECORD_OF_H
#define POOLMARK_LOADGEN_SCENARIOS_RECORD_OF_H

#include "base/opts.h"
#include "loadgen/run.h"

#include <stdbool.h>

// Is each record that of a broker which listens at the port of a target, or which is watched (it has the record's pools.csv open,
// as behind a proxy)? False, with an anomaly `not_its_record`, when one is not. A record that does not name its listeners counts as the
// target's. The parent's thread.
bool record_of_target(struct run *run, const struct opt_list *folders);

#endif
