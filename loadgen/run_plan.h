// SPDX-License-Identifier: Apache-2.0
// The plans of a run, by its configuration: of all clients, of each crew, of the probes. Over several ranks they follow the
// division that the ranks have (ranks_shares.h). Each function gives -EINVAL with the text when the plan cannot be carried
// out, and then frees what it made; otherwise the caller frees the plan. Any thread.
#ifndef POOLMARK_LOADGEN_RUN_PLAN_H
#define POOLMARK_LOADGEN_RUN_PLAN_H

#include "loadgen/config.h"
#include "loadgen/plan.h"

// Of all clients together. With crews nobody connects by it: it has the routes of all.
int run_plan_all(struct plan *plan, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));
int run_plan_crew(struct plan *plan, const struct config *config, int number, struct err *err)
    __attribute__((warn_unused_result));
int run_plan_probes(struct plan *plan, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

// Makes the plans, to check that they can be carried out; `plan` becomes that of all clients.
int run_plan_check(struct plan *plan, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

// Divides the clients among workers without looking at targets. There is nothing to free.
int run_plan_divide(struct plan *plan, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

#endif
