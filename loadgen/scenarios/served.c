// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/served.h"

#include "base/clock.h"
#include "loadgen/scenarios/pools_file.h"

#define LATE_NS (10 * NS_PER_S)

enum { FEW = 16 }; // so many were looks whether it is there

int64_t served_counted(const struct opt_list *records, int processes)
{
    struct pool_parts parts = POOL_PARTS_NONE;
    if (records->count == 0 || records->count != processes)
        return -1;
    for (int i = 0; i < records->count; i++)
        if (pools_file_add(&parts, records->values[i]) < 0)
            return -1;
    // A broker that runs writes its pools each second. A record of another one says nothing of this target.
    int64_t late_ns = clock_now_ns() - parts.at_ns;
    return parts.at_ns > 0 && late_ns >= 0 && late_ns < LATE_NS ? parts.most_connections : -1;
}

void served_judge(struct run *run, const struct sample *start, int64_t counted, bool fresh)
{
    const struct census_reading *census = &start->census;
    int64_t seen = census->before > counted ? census->before : counted;
    if (counted >= 0)
        curve_bound(&run->curve, counted);
    // Several processes may be in several namespaces.
    if (run->config->watch.count == 1 && census->opened >= census->begun)
        curve_bound(&run->curve, census->opened - census->begun);
    if (fresh && seen <= FEW)
        curve_bound(&run->curve, 0);
    else if (fresh)
        run_anomaly(run, "not_fresh",
                    "--fresh-target was given, and %lld connections to the target were made before this run, "
                    "by %s: it is judged as a target that may have served before",
                    (long long)seen, seen == counted ? "its own record" : "the kernel");
}
