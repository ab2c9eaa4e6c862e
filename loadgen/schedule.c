// SPDX-License-Identifier: Apache-2.0
#include "loadgen/schedule.h"

#include "base/clock.h"
#include "loadgen/backoff.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

const char *const schedule_names[] = {
    [SCHEDULE_CONSTANT] = "constant", [SCHEDULE_POISSON] = "poisson", [SCHEDULE_RAMP] = "ramp",
    [SCHEDULE_STAIRS] = "stairs",     [SCHEDULE_KINDS] = NULL,
};

// Long double (64 bits of mantissa here) keeps every nanosecond, even over centuries.
static long double seconds(int64_t ns)
{
    return (long double)ns / NS_PER_S;
}

static bool has_lead(const struct schedule *schedule)
{
    return schedule->shape.kind == SCHEDULE_RAMP || schedule->shape.kind == SCHEDULE_STAIRS;
}

// --- ramp --------------------------------------------------------------------------------------------------

static long double ramp_slope(const struct schedule *schedule)
{
    return (schedule->rate_per_s - schedule->shape.from_per_s) / seconds(schedule->shape.over_ns);
}

// The acts until a time since the ramp began, at most its end.
static long double ramp_acts(const struct schedule *schedule, long double time_s)
{
    return time_s * (schedule->shape.from_per_s + ramp_slope(schedule) * time_s / 2);
}

// The root of the quadratic, in the form that subtracts nothing.
static long double ramp_time_s(const struct schedule *schedule, long double act)
{
    long double from = schedule->shape.from_per_s;
    return act > 0 ? 2 * act / (from + sqrtl(from * from + 2 * ramp_slope(schedule) * act)) : 0;
}

// --- stairs ------------------------------------------------------------------------------------------------

static long double stairs_rate(const struct schedule *schedule, int64_t step)
{
    const struct schedule_shape *shape = &schedule->shape;
    return shape->from_per_s +
           (schedule->rate_per_s - shape->from_per_s) * (long double)step / (long double)(shape->steps - 1);
}

static long double step_s(const struct schedule *schedule)
{
    return seconds(schedule->shape.over_ns) / (long double)schedule->shape.steps;
}

// The acts of the steps before one.
static long double stairs_before(const struct schedule *schedule, int64_t step)
{
    long double mean = (schedule->shape.from_per_s + stairs_rate(schedule, step - 1)) / 2;
    return step > 0 ? (long double)step * step_s(schedule) * mean : 0;
}

static long double stairs_acts(const struct schedule *schedule, long double time_s)
{
    int64_t step = (int64_t)(time_s / step_s(schedule));
    if (step >= schedule->shape.steps)
        step = schedule->shape.steps - 1;
    return stairs_before(schedule, step) +
           (time_s - (long double)step * step_s(schedule)) * stairs_rate(schedule, step);
}

static long double stairs_time_s(const struct schedule *schedule, long double act)
{
    int64_t low = 0, high = schedule->shape.steps; // the step is in low .. high - 1
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (stairs_before(schedule, middle) <= act)
            low = middle;
        else
            high = middle;
    }
    return (long double)low * step_s(schedule) +
           (act - stairs_before(schedule, low)) / stairs_rate(schedule, low);
}

// --- shapes with an end ------------------------------------------------------------------------------------

// The acts until a time since the start: first at from_per_s, then by the shape, then at the rate.
static long double shaped_acts(const struct schedule *schedule, long double time_s)
{
    const struct schedule_shape *shape = &schedule->shape;
    long double lead_s = seconds(shape->lead_ns), over_s = seconds(shape->over_ns);
    long double lead = (time_s < lead_s ? time_s : lead_s) * shape->from_per_s;
    long double in_s = time_s - lead_s < over_s ? time_s - lead_s : over_s;
    if (in_s <= 0)
        return lead;
    return lead + (shape->kind == SCHEDULE_RAMP ? ramp_acts(schedule, in_s) : stairs_acts(schedule, in_s)) +
           (time_s - lead_s - in_s) * schedule->rate_per_s;
}

static long double shaped_time_s(const struct schedule *schedule, long double act)
{
    const struct schedule_shape *shape = &schedule->shape;
    long double lead_s = seconds(shape->lead_ns), over_s = seconds(shape->over_ns);
    long double lead = lead_s * shape->from_per_s;
    if (act < lead)
        return act / shape->from_per_s;
    long double whole = over_s * (shape->from_per_s + schedule->rate_per_s) / 2; // of both shapes
    if (act - lead >= whole)
        return lead_s + over_s + (act - lead - whole) / schedule->rate_per_s;
    return lead_s + (shape->kind == SCHEDULE_RAMP ? ramp_time_s(schedule, act - lead)
                                                  : stairs_time_s(schedule, act - lead));
}

// --- poisson -----------------------------------------------------------------------------------------------

// The process goes on: after `first` acts it is the process of the intervals after theirs.
static long double poisson_time_s(struct schedule *schedule, int64_t act)
{
    if (act < schedule->summed - 1) {
        schedule->summed = 0;
        schedule->sum_s = 0;
    }
    for (; schedule->summed <= act; schedule->summed++) {
        uint64_t bits =
            chance_bits(schedule->shape.seed, (uint64_t)(schedule->shape.first + schedule->summed));
        schedule->sum_s += -log(1 - chance_unit(bits)) / schedule->rate_per_s;
    }
    return schedule->sum_s;
}

// --- all ---------------------------------------------------------------------------------------------------

int64_t schedule_at(struct schedule *schedule, int64_t act)
{
    const struct schedule_shape *shape = &schedule->shape;
    long double at_s;
    if (!(schedule->rate_per_s > 0))
        return schedule->start_ns;
    if (shape->kind == SCHEDULE_CONSTANT)
        return schedule->start_ns +
               (int64_t)((long double)act * NS_PER_S / (long double)schedule->rate_per_s);
    if (shape->kind == SCHEDULE_POISSON)
        at_s = poisson_time_s(schedule, act);
    else
        at_s = shaped_time_s(schedule, (long double)(shape->first + act)) -
               (shape->first > 0 ? shaped_time_s(schedule, (long double)shape->first) : 0);
    return schedule->start_ns +
           llroundl(at_s * NS_PER_S); // the end of a step is that nanosecond, and not the one before
}

struct schedule_turn schedule_turn(struct schedule *schedule, int64_t pairs, int64_t first, int64_t count,
                                   int64_t k)
{
    struct schedule_turn turn = {.pair = first + k % count, .message = k / count};
    turn.intended_ns = schedule_at(schedule, turn.message * pairs + turn.pair);
    return turn;
}

double schedule_mean_per_s(const struct schedule *schedule, int64_t from_ns, int64_t to_ns)
{
    if (!has_lead(schedule))
        return schedule->rate_per_s;
    long double acts = shaped_acts(schedule, seconds(to_ns - schedule->start_ns)) -
                       shaped_acts(schedule, seconds(from_ns - schedule->start_ns));
    return (double)(acts / seconds(to_ns - from_ns));
}
