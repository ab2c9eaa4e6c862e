// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/pace.h"

#include "base/clock.h"
#include "loadgen/backoff.h"

#include <errno.h>
#include <string.h>

enum { STEPS = 10 };

static enum schedule_kind kind_of(const struct pace *pace)
{
    int kind = SCHEDULE_CONSTANT;
    while (pace->name && kind < SCHEDULE_KINDS && strcmp(schedule_names[kind], pace->name) != 0)
        kind++;
    return kind < SCHEDULE_KINDS ? (enum schedule_kind)kind : SCHEDULE_CONSTANT;
}

// The parameters of other schedules would be silently ignored.
static int check_unused(const struct pace *pace, enum schedule_kind kind, struct err *err)
{
    bool rises = kind == SCHEDULE_RAMP || kind == SCHEDULE_STAIRS;
    if (!rises && (pace->from_per_s > 0 || pace->over_ns > 0))
        return err_set(err, -EINVAL, "--schedule-%s: --schedule %s has none; it is for ramp and stairs",
                       pace->from_per_s > 0 ? "from" : "over", schedule_names[kind]);
    if (kind != SCHEDULE_STAIRS && pace->steps > 0)
        return err_set(err, -EINVAL, "--schedule-steps: --schedule %s has none; it is for stairs",
                       schedule_names[kind]);
    return 0;
}

// The time until the whole rate is reached, when it is to be reached with the last act. Both shapes have the mean of the first and
// the last rate.
static int64_t fitting_ns(const struct pace *pace, double rate_per_s, const struct pace_length *length)
{
    if (length->ns > 0)
        return length->ns;
    double ns = 2e9 * (double)length->acts / (pace->from_per_s + rate_per_s);
    return ns < 1 ? 1 : ns > 1e18 ? (int64_t)1e18 : (int64_t)ns;
}

int pace_check(struct pace *pace, const char *rate, double rate_per_s, const struct pace_length *length,
               struct err *err)
{
    enum schedule_kind kind = kind_of(pace);
    int code = check_unused(pace, kind, err);
    if (code < 0 || kind == SCHEDULE_CONSTANT)
        return code;
    if (!(rate_per_s > 0))
        return err_set(err, -EINVAL, "--schedule %s: there is no rate that goes so over time: give --%s",
                       pace->name, rate);
    if (kind == SCHEDULE_POISSON)
        return 0;
    if (pace->over_ns == 0 && length->ns == 0 && length->acts == 0)
        return err_set(err, -EINVAL, "--schedule %s: until when? Give --schedule-over", pace->name);
    if (kind == SCHEDULE_STAIRS && pace->steps == 0)
        pace->steps = STEPS;
    if (kind == SCHEDULE_STAIRS && pace->steps < 2)
        return err_set(err, -EINVAL, "--schedule-steps 1: a single step is the constant rate; at least 2");
    if (kind == SCHEDULE_STAIRS && pace->from_per_s == 0)
        pace->from_per_s = rate_per_s / (double)pace->steps;
    if (pace->over_ns == 0)
        pace->over_ns = fitting_ns(pace, rate_per_s, length);
    return 0;
}

void pace_describe(json_t *json, const struct pace *pace)
{
    enum schedule_kind kind = kind_of(pace);
    json_object_set_new(json, "schedule", json_string(schedule_names[kind]));
    if (kind != SCHEDULE_RAMP && kind != SCHEDULE_STAIRS)
        return;
    json_object_set_new(json, "schedule_from_per_s", json_real(pace->from_per_s));
    json_object_set_new(json, "schedule_over_ns", json_integer(pace->over_ns));
    if (kind == SCHEDULE_STAIRS)
        json_object_set_new(json, "schedule_steps", json_integer(pace->steps));
}

struct schedule_shape pace_shape(const struct pace *pace, int64_t seed, int64_t round)
{
    return (struct schedule_shape){.kind = kind_of(pace),
                                   .from_per_s = pace->from_per_s,
                                   .over_ns = pace->over_ns,
                                   .steps = pace->steps,
                                   .seed = chance_bits((uint64_t)seed, (uint64_t)round)};
}

static struct schedule schedule_of(const struct fleet_order *order)
{
    return (struct schedule){
        .start_ns = order->at_ns, .rate_per_s = order->rate_per_s, .shape = order->shape};
}

int64_t pace_span_ns(const struct fleet_order *order, int64_t acts)
{
    struct schedule schedule = schedule_of(order);
    if (acts < 1)
        return 0;
    return schedule_at(&schedule, acts - 1) - order->at_ns;
}

double pace_asked_per_s(const struct fleet_order *order, int64_t from_ns, int64_t to_ns, int64_t due)
{
    struct schedule schedule = schedule_of(order);
    if (to_ns <= from_ns || order->shape.kind == SCHEDULE_CONSTANT)
        return order->rate_per_s;
    if (order->shape.kind == SCHEDULE_POISSON)
        return (double)due * 1e9 / (double)(to_ns - from_ns);
    return schedule_mean_per_s(&schedule, from_ns, to_ns);
}
