// SPDX-License-Identifier: Apache-2.0
// Numbers are read as decimal digits and a fraction of up to 18 digits, in integers: 0.1 s is 100 000 000 ns
// exactly, and 9007199254740993 is not rounded. strtod would round, and accept "nan", "0x10" and "1e3".
#include "base/units.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t scale;
};

enum { FRACTION_DIGITS_MAX = 18 };

struct decimal {
    int64_t whole;
    int64_t fraction, fraction_scale; // fraction / fraction_scale, scale a power of ten
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Reads digits, and a fraction after them if there is one; `*rest` is the text behind. No sign, no blank, no
// exponent.
static int read_decimal(const char *text, struct decimal *decimal, const char **rest)
{
    struct decimal d = {.fraction_scale = 1};
    bool overflow = false;
    if (!is_digit(*text)) {
        return -EINVAL;
    }
    for (; is_digit(*text); text++) {
        overflow |= __builtin_mul_overflow(d.whole, 10, &d.whole);
        overflow |= __builtin_add_overflow(d.whole, *text - '0', &d.whole);
    }
    if (*text == '.') {
        text++;
        if (!is_digit(*text)) {
            return -EINVAL;
        }
        for (int digits = 0; is_digit(*text); text++, digits++) {
            if (digits >= FRACTION_DIGITS_MAX) {
                return -EINVAL;
            }
            d.fraction = d.fraction * 10 + (*text - '0');
            d.fraction_scale *= 10;
        }
    }
    *decimal = d;
    *rest = text;
    return overflow ? -ERANGE : 0;
}

static const struct unit *find_unit(const struct unit *units, const char *name)
{
    for (; units->name; units++) {
        if (strcmp(units->name, name) == 0) {
            return units;
        }
    }
    return NULL;
}

// Parses the whole text as a multiple of one of `units`. The result has to be a whole number.
static int parse_scaled(const char *text, const struct unit *units, int64_t *value)
{
    struct decimal decimal;
    const char *rest;
    int code = read_decimal(text, &decimal, &rest);
    if (code == -EINVAL) {
        return code;
    }
    const struct unit *unit = find_unit(units, rest);
    if (!unit) {
        return -EINVAL;
    }
    if (code < 0) {
        return code;
    }
    // Below 10^18 x 2^42 in 128 bits: cannot overflow.
    __int128 part = (__int128)decimal.fraction * unit->scale;
    if (part % decimal.fraction_scale != 0) {
        return -EINVAL;
    }
    int64_t result;
    if (__builtin_mul_overflow(decimal.whole, unit->scale, &result) ||
        __builtin_add_overflow(result, (int64_t)(part / decimal.fraction_scale), &result)) {
        return -ERANGE;
    }
    *value = result;
    return 0;
}

int units_parse_count(const char *text, int64_t *count)
{
    static const struct unit units[] = {{"", 1},        {"k", 1000},       {"K", 1000},
                                        {"M", 1000000}, {"G", 1000000000}, {NULL, 0}};
    return parse_scaled(text, units, count);
}

int units_parse_bytes(const char *text, int64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"KiB", INT64_C(1) << 10},
        {"MiB", INT64_C(1) << 20},
        {"GiB", INT64_C(1) << 30},
        {"TiB", INT64_C(1) << 40},
        {"kB", 1000},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", INT64_C(1000000000000)},
        {NULL, 0},
    };
    return parse_scaled(text, units, bytes);
}

int units_parse_duration_ns(const char *text, int64_t *ns)
{
    static const struct unit units[] = {
        {"", 1000000000},
        {"ns", 1},
        {"us", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", INT64_C(60000000000)},
        {"h", INT64_C(3600000000000)},
        {NULL, 0},
    };
    return parse_scaled(text, units, ns);
}

int units_parse_rate_per_s(const char *text, double *per_s)
{
    static const struct unit units[] = {{"", 1},        {"k", 1000},       {"K", 1000},
                                        {"M", 1000000}, {"G", 1000000000}, {NULL, 0}};
    struct decimal decimal;
    const char *rest;
    int code = read_decimal(text, &decimal, &rest);
    if (code == -EINVAL) {
        return code;
    }
    size_t length = strlen(rest);
    if (length >= 2 && strcmp(rest + length - 2, "/s") == 0) {
        length -= 2;
    }
    char name[4] = {0};
    if (length >= sizeof name) {
        return -EINVAL;
    }
    memcpy(name, rest, length);
    const struct unit *unit = find_unit(units, name);
    if (!unit) {
        return -EINVAL;
    }
    if (code < 0) {
        return code;
    }
    *per_s = ((double)decimal.whole + (double)decimal.fraction / (double)decimal.fraction_scale) *
             (double)unit->scale;
    return 0;
}

// Three significant digits and a unit, the largest of `units` (ascending) that leaves at least 1. A value
// that would round up to 1 of the next unit gets that unit: 999 950 is 1.00M, not 1000.0k.
static char *format_scaled(double value, const struct unit *units, char *text, size_t size)
{
    double magnitude = fabs(value);
    const struct unit *unit = units;
    while (unit[1].name && magnitude >= (double)unit[1].scale) {
        unit++;
    }
    int digits = 0;
    for (;;) {
        double scaled = magnitude / (double)unit->scale;
        digits = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
        double step = digits == 2 ? 0.01 : digits == 1 ? 0.1 : 1;
        bool whole_units = unit == units;
        if (!whole_units && unit[1].name &&
            round(scaled / step) * step * (double)unit->scale >= (double)unit[1].scale) {
            unit++;
            continue;
        }
        snprintf(text, size, "%.*f%s", whole_units ? 0 : digits, value / (double)unit->scale, unit->name);
        return text;
    }
}

char *units_format_count(int64_t count, char *text, size_t size)
{
    static const struct unit units[] = {
        {"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}, {"T", INT64_C(1000000000000)}, {NULL, 0}};
    return format_scaled((double)count, units, text, size);
}

char *units_format_bytes(int64_t bytes, char *text, size_t size)
{
    static const struct unit units[] = {{" B", 1},
                                        {" KiB", INT64_C(1) << 10},
                                        {" MiB", INT64_C(1) << 20},
                                        {" GiB", INT64_C(1) << 30},
                                        {" TiB", INT64_C(1) << 40},
                                        {NULL, 0}};
    return format_scaled((double)bytes, units, text, size);
}

char *units_format_duration(int64_t ns, char *text, size_t size)
{
    static const struct unit units[] = {
        {" ns", 1}, {" us", 1000}, {" ms", 1000000}, {" s", 1000000000}, {NULL, 0}};
    return format_scaled((double)ns, units, text, size);
}
