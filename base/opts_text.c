// SPDX-License-Identifier: Apache-2.0
#include "base/opts_text.h"

#include <math.h>
#include <stdio.h>

enum { SMALL_MAX = 1000 }; // up to here a number is written as it is

bool opt_is_end(const struct opt *opt)
{
    return !opt->name && opt->kind != OPT_HEADING;
}

const char *opt_value_name(const struct opt *opt)
{
    switch (opt->kind) {
    case OPT_COUNT:
        return "a count";
    case OPT_BYTES:
        return "a number of bytes";
    case OPT_DURATION:
        return "a duration";
    case OPT_RATE:
        return "a rate";
    default:
        return "a number";
    }
}

// How to write large numbers, if the option takes any. A duration always shows its units.
static const char *value_examples(const struct opt *opt)
{
    if (opt_is_bounded(opt) && opt->high <= SMALL_MAX && opt->kind != OPT_DURATION)
        return "";
    switch (opt->kind) {
    case OPT_COUNT:
        return " (10k and 1M are understood)";
    case OPT_BYTES:
        return " (4KiB and 1MB are understood)";
    case OPT_DURATION:
        return " (500us, 30s and 5m are understood; a bare number is seconds)";
    case OPT_RATE:
        return " (10k and 1000/s are understood)";
    default:
        return "";
    }
}

struct scale {
    const char *name;
    double size;
};

// Formats by the largest of `scales` that leaves a whole number. The last of them has size 1.
static void format_scaled(const struct scale *scales, double value, char text[static 40])
{
    while (scales->size > 1 && fmod(value, scales->size) != 0) {
        scales++;
    }
    snprintf(text, 40, "%.0f%s", value / scales->size, scales->name);
}

void opt_format_bound(const struct opt *opt, double bound, char text[static 40])
{
    static const struct scale spans[] = {{"h", 3600e9}, {"m", 60e9}, {"s", 1e9},
                                         {"ms", 1e6},   {"us", 1e3}, {"ns", 1}};
    static const struct scale sizes[] = {{"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10}, {"", 1}};
    if (opt->kind == OPT_DURATION && bound != 0) {
        format_scaled(spans, bound, text);
    } else if (opt->kind == OPT_BYTES && bound != 0) {
        format_scaled(sizes, bound, text);
    } else if (opt->kind == OPT_RATE || opt->kind == OPT_NUMBER) {
        snprintf(text, 40, "%.10g", bound);
    } else {
        snprintf(text, 40, "%.0f", bound);
    }
}

bool opt_is_bounded(const struct opt *opt)
{
    return opt->low != 0 || opt->high != 0;
}

void opt_describe_bounds(const struct opt *opt, char *text, size_t size)
{
    char low[40], high[40];
    opt_format_bound(opt, opt->low, low);
    opt_format_bound(opt, opt->high, high);
    if (!opt_is_bounded(opt)) {
        snprintf(text, size, "it takes %s%s", opt_value_name(opt), value_examples(opt));
    } else if (isinf(opt->high)) {
        snprintf(text, size, "it takes %s or more%s", low, value_examples(opt));
    } else {
        snprintf(text, size, "it takes %s to %s%s", low, high, value_examples(opt));
    }
}

void opt_join_choices(const struct opt *opt, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; opt->choices[i] && used < size; i++) {
        const char *between = i == 0 ? "" : opt->choices[i + 1] ? ", " : " or ";
        int n = snprintf(text + used, size - used, "%s%s", between, opt->choices[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}
