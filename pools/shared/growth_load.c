// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/growth_load.h"

#include "base/clock.h"
#include "pools/shared/growth.h"

#include <math.h>

enum { MARK_SHARE = 8 }; // of the trigger
#define NS_A_SECOND 1e9
#define SPAN_LEAST_NS (20 * NS_PER_US)

void growth_load_mark(struct growth_load *load, int64_t now_ns, int64_t in_use)
{
    load->marked = true;
    load->marked_ns = now_ns;
    load->marked_in_use = in_use;
}

void growth_load_arrive(struct growth_load *load, int64_t now_ns, int64_t in_use)
{
    int64_t arrived = in_use - load->marked_in_use, took_ns = now_ns - load->marked_ns;
    if (!load->marked || arrived <= 0 || took_ns <= 0)
        return;
    // Two readings right after one another say little.
    if (took_ns < SPAN_LEAST_NS)
        took_ns = SPAN_LEAST_NS;
    double rate = (double)arrived * NS_A_SECOND / (double)took_ns;
    load->arrivals_per_s = rate > load->arrivals_per_s ? rate : (load->arrivals_per_s + rate) / 2;
}

void growth_load_made(struct growth_load *load, int64_t count, int64_t took_ns)
{
    if (count <= 0 || took_ns < 0)
        return;
    double each_ns = (double)took_ns / (double)count;
    load->make_ns = load->make_ns > 0 ? (3 * load->make_ns + each_ns) / 4 : each_ns;
}

// Objects that one expansion is to make; infinite when they arrive faster than they can be made.
static double step_of(const struct growth_load *load)
{
    double busy = load->arrivals_per_s * load->make_ns / NS_A_SECOND;
    if (busy >= 1)
        return INFINITY;
    return load->arrivals_per_s * (double)GROWTH_LOAD_AHEAD_NS / NS_A_SECOND / (1 - busy);
}

int64_t growth_load_next(const struct growth_load *load, int64_t owned, double growth, int64_t max,
                         size_t object_bytes)
{
    int64_t most = growth_next(owned, growth, 0), piece = growth_piece(0, object_bytes);
    int64_t least =
        owned + (owned / GROWTH_LOAD_LEAST_SHARE > piece ? owned / GROWTH_LOAD_LEAST_SHARE : piece);
    double wanted = (double)owned + ceil(step_of(load));
    int64_t next = most;
    if (load->arrivals_per_s > 0 && wanted < (double)most)
        next = wanted > (double)least ? (int64_t)wanted : least;
    if (next > most)
        next = most;
    return max && next > max ? max : next;
}

int64_t growth_load_ahead(const struct growth_load *load, int64_t piece)
{
    double until_ns = (double)GROWTH_LOAD_NOTICE_NS + load->make_ns * (double)piece;
    double ahead = ceil(2 * load->arrivals_per_s * until_ns / NS_A_SECOND);
    return ahead < (double)POOL_COUNT_MAX ? (int64_t)ahead : POOL_COUNT_MAX;
}

int64_t growth_load_trigger(const struct growth_load *load, int64_t owned, int64_t expand_at_percent,
                            size_t object_bytes)
{
    int64_t earliest = growth_trigger(owned, expand_at_percent);
    int64_t ahead = growth_load_ahead(load, growth_piece(0, object_bytes));
    if (load->arrivals_per_s <= 0)
        return earliest;
    if (ahead < owned / GROWTH_LOAD_LEAST_SHARE)
        ahead = owned / GROWTH_LOAD_LEAST_SHARE;
    return owned - ahead > earliest ? owned - ahead : earliest;
}

void growth_load_unmark(struct growth_load *load)
{
    load->mark_at = INT64_MAX;
    load->judged = true;
}

void growth_load_aim(struct growth_load *load, int64_t trigger, int64_t in_use)
{
    growth_load_unmark(load);
    if (trigger == INT64_MAX)
        return;
    load->judged = false;
    load->mark_at = trigger - trigger / MARK_SHARE;
    if (in_use < load->mark_at)
        return;
    growth_load_mark(load, clock_now_ns(), in_use);
    load->mark_at = INT64_MAX;
}

bool growth_load_is_reached(struct growth_load *load, int64_t in_use, int64_t owned,
                            int64_t expand_at_percent, size_t object_bytes, int64_t *trigger)
{
    if (in_use >= load->mark_at) {
        growth_load_mark(load, clock_now_ns(), in_use);
        load->mark_at = INT64_MAX;
    }
    if (in_use < *trigger)
        return false;
    growth_load_arrive(load, clock_now_ns(), in_use);
    if (!load->judged)
        *trigger = growth_load_trigger(load, owned, expand_at_percent, object_bytes);
    load->judged = true;
    return in_use >= *trigger;
}
