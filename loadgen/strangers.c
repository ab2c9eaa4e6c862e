// SPDX-License-Identifier: Apache-2.0
#include "loadgen/strangers.h"

#include "base/clock.h"

// A shorter slice would judge a single tick of a timer.
#define SLICE_NS (150 * NS_PER_MS)

const double STRANGERS_REST = 0.005;

void strangers_init(struct strangers *strangers)
{
    *strangers = (struct strangers){
        .idle_share = -1, .at_ns = -1, .least = -1, .base_descriptors = -1, .base_begun = -1};
}

void strangers_pause(struct strangers *strangers)
{
    strangers->at_ns = -1;
    strangers->least = -1;
}

void strangers_read(struct strangers *strangers, int64_t at_ns, int64_t cpu_ns)
{
    if (cpu_ns < 0)
        return;
    if (strangers->at_ns >= 0) {
        int64_t took_ns = at_ns - strangers->at_ns;
        if (took_ns < SLICE_NS)
            return;
        double share = (double)(cpu_ns - strangers->cpu_ns) / (double)took_ns;
        if (strangers->least < 0 || share < strangers->least)
            strangers->least = share > 0 ? share : 0;
    }
    strangers->at_ns = at_ns;
    strangers->cpu_ns = cpu_ns;
}

bool strangers_is_quiet(const struct strangers *strangers, double own_share)
{
    return strangers->at_ns < 0 || (strangers->least >= 0 && strangers->least - own_share < STRANGERS_REST);
}

void strangers_resume(struct strangers *strangers, double own_share)
{
    double share = strangers->least > own_share ? strangers->least - own_share : 0;
    if (strangers->least >= 0 && share > strangers->idle_share)
        strangers->idle_share = share;
    strangers->at_ns = -1;
    strangers->least = -1;
}

void strangers_count(struct strangers *strangers, int64_t descriptors, int64_t begun)
{
    if (descriptors < 0)
        return;
    if (strangers->base_descriptors < 0) {
        strangers->base_descriptors = descriptors;
        strangers->base_begun = begun;
        return;
    }
    int64_t more = (descriptors - strangers->base_descriptors) - (begun - strangers->base_begun);
    if (more > strangers->most_more)
        strangers->most_more = more;
}
