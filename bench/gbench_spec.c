// SPDX-License-Identifier: Apache-2.0
#include "bench/gbench_spec.h"

#include <errno.h>

enum { MULTIPLIER_DEFAULT = 8 };

static int check_counts(const struct gb_spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->arg_count; i++) {
        const struct gb_range *range = &spec->args[i];
        if (range->values ? range->value_count == 0 : range->high < range->low || range->low < 0)
            return err_set(err, -EINVAL, "benchmark %s: argument %zu has no values", spec->name, i);
    }
    for (size_t i = 0; i < spec->thread_count; i++) {
        if (spec->threads[i] < 1)
            return err_set(err, -EINVAL, "benchmark %s: %d threads", spec->name, spec->threads[i]);
    }
    return 0;
}

int gb_spec_check(const struct gb_spec *spec, struct err *err)
{
    if (!spec->name || !*spec->name)
        return err_set(err, -EINVAL, "a benchmark has no name");
    if (!spec->run)
        return err_set(err, -EINVAL, "benchmark %s has no function", spec->name);
    if (spec->arg_count > GB_ARGS_MAX || spec->thread_count > GB_THREADS_MAX)
        return err_set(err, -EINVAL, "benchmark %s: at most %d arguments and %d thread counts", spec->name,
                       GB_ARGS_MAX, GB_THREADS_MAX);
    int code = check_counts(spec, err);
    if (code < 0)
        return code;
    if (spec->iterations < 0 || spec->batch < 0 || spec->repetitions < 0)
        return err_set(err, -EINVAL, "benchmark %s: a count is negative", spec->name);
    if (spec->iterations > 0 && spec->min_time_s > 0)
        return err_set(err, -EINVAL, "benchmark %s: iterations and a least time exclude each other",
                       spec->name);
    return 0;
}

// Steps to the next value from low to high; false after the last. Powers end with high, which is always
// included.
static bool advance(const struct gb_range *range, int64_t *value)
{
    if (range->step > 0 ? *value > range->high - range->step : *value >= range->high)
        return false;
    int64_t by = range->multiplier > 1 ? range->multiplier : MULTIPLIER_DEFAULT;
    if (range->step > 0)
        *value += range->step;
    else if (*value < 1)
        *value = 1;
    else
        *value = *value > range->high / by ? range->high : *value * by;
    return true;
}

static size_t count_of(const struct gb_range *range)
{
    if (range->values)
        return range->value_count;
    size_t count = 1;
    for (int64_t value = range->low; advance(range, &value);)
        count++;
    return count;
}

static int64_t value_at(const struct gb_range *range, size_t index)
{
    if (range->values)
        return range->values[index];
    int64_t value = range->low;
    while (index-- > 0 && advance(range, &value))
        ;
    return value;
}

size_t gb_spec_combinations(const struct gb_spec *spec)
{
    size_t count = 1;
    for (size_t i = 0; i < spec->arg_count; i++)
        count *= count_of(&spec->args[i]);
    return count;
}

void gb_spec_combination(const struct gb_spec *spec, size_t nth, int64_t args[GB_ARGS_MAX])
{
    for (size_t i = spec->arg_count; i-- > 0;) {
        size_t count = count_of(&spec->args[i]);
        args[i] = value_at(&spec->args[i], nth % count);
        nth /= count;
    }
}
