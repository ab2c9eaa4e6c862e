// SPDX-License-Identifier: Apache-2.0
#include "loadgen/loads.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

int loads_kind(const struct fleet_order *order)
{
    switch (order->act) {
    case FLEET_CONNECT:
        return LOAD_CONNECTS;
    case FLEET_ARRIVE:
        return LOAD_ARRIVALS;
    case FLEET_PUBLISH:
        return LOAD_MESSAGES;
    case FLEET_SUBSCRIBE:
        return LOAD_CHANGES;
    default:
        return -1;
    }
}

void loads_open(struct loads *loads, int watched)
{
    *loads = (struct loads){.from = calloc(2 * (size_t)watched + 1, sizeof *loads->from)};
    loads->count = loads->from ? watched : 0;
    loads->to = loads->from ? loads->from + loads->count : NULL;
}

void loads_close(struct loads *loads)
{
    for (int i = 0; i < 2 * loads->count; i++)
        thread_load_free(&loads->from[i]);
    free(loads->from);
    *loads = (struct loads){.count = 0};
}

void loads_forget(struct loads *loads)
{
    memset(loads->of, 0, sizeof loads->of);
}

static void read_all(struct thread_load loads[], int count, const int64_t *pids)
{
    for (int i = 0; i < count; i++)
        if (thread_load_read_of((pid_t)pids[i], &loads[i]) < 0)
            loads[i].count = 0;
}

void loads_begin(struct loads *loads, const int64_t *pids, int64_t stopped_ns)
{
    read_all(loads->from, loads->count, pids);
    cpu_idle_read(&loads->idle);
    loads->stopped_ns = stopped_ns;
    loads->from_ns = clock_now_ns();
}

// Of all watched processes; both 0 when none can be read.
static void busiest(const struct loads *loads, int64_t *ran_ns, int64_t *waited_ns)
{
    *ran_ns = *waited_ns = 0;
    for (int i = 0; i < loads->count; i++) {
        int64_t ran, waited;
        thread_load_spent(&loads->from[i], &loads->to[i], &ran, &waited);
        if (ran + waited > *ran_ns + *waited_ns) {
            *ran_ns = ran;
            *waited_ns = waited;
        }
    }
}

void loads_end(struct loads *loads, const int64_t *pids, unsigned kinds, int64_t stopped_ns,
               const struct hist *lag)
{
    struct cpu_idle idle;
    int64_t ran_ns, waited_ns, now_ns = clock_now_ns(), p99_ns = hist_percentile_known(lag, 99);
    if (p99_ns < 0)
        p99_ns = hist_max(lag);
    read_all(loads->to, loads->count, pids);
    cpu_idle_read(&idle);
    busiest(loads, &ran_ns, &waited_ns);
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        struct loads_of *of = &loads->of[kind];
        if (!(kinds & 1U << kind))
            continue;
        of->ns += now_ns - loads->from_ns;
        of->ran_ns += ran_ns;
        of->waited_ns += waited_ns;
        of->stopped_ns += stopped_ns - loads->stopped_ns;
        if (of->idle_from.all == 0)
            of->idle_from = of->idle_to = loads->idle;
        of->idle_to.idle += idle.idle - loads->idle.idle;
        of->idle_to.all += idle.all - loads->idle.all;
        of->lag_p99_ns = p99_ns > of->lag_p99_ns ? p99_ns : of->lag_p99_ns;
    }
}
