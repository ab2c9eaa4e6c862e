// SPDX-License-Identifier: Apache-2.0
#include "loadgen/connects.h"

#include "base/hist.h"

int64_t connects_slowest_ns(const struct run *run)
{
    int64_t connect_ns = hist_max(run->total[LATENCY_CONNECT_UNCORRECTED]),
            arrival_ns = hist_max(run->total[LATENCY_ARRIVAL_UNCORRECTED]);
    return connect_ns > arrival_ns ? connect_ns : arrival_ns;
}

static int64_t unanswered_of(const struct tally *tally)
{
    static const enum tally_reason reasons[] = {REASON_TIMEOUT, REASON_TCP_FAILED, REASON_UNREACHABLE,
                                                REASON_RESET,   REASON_CLOSED,     REASON_UNTOLD,
                                                REASON_STALLED};
    int64_t count = tally->count[TALLY_CONNECT_RETRIES] + tally->count[TALLY_ARRIVAL_RETRIES];
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        count += tally->failed[reasons[i]];
    return count;
}

static int64_t unanswered(const struct run *run)
{
    return unanswered_of(&run->tally) + unanswered_of(&run->probe_tally);
}

bool connects_missed(const struct run *run, int64_t again_ns)
{
    return connects_slowest_ns(run) >= again_ns || unanswered(run) > 0;
}
