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

struct run_plan_told {       // what is known of a plan before it is made
    struct plan plan;        // the division alone, by one rank; there is nothing to free
    int targets;             // 0: none were given
    int sources;             // the most source addresses of a host (plan_count_routes)
    int64_t process_clients; // the most that one process can hold here
};

// Divides the clients among workers, and finds the targets that are given.
int run_plan_tell(struct run_plan_told *told, const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

#endif
