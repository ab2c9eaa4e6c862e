// SPDX-License-Identifier: Apache-2.0
#include "loadgen/payload_sizes.h"

#include "base/units.h"
#include "loadgen/payload.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int parse_bytes(const char *text, size_t length, int64_t *bytes, struct err *err)
{
    char number[32];
    int code = length < sizeof number ? 0 : -EINVAL;
    if (code == 0) {
        memcpy(number, text, length);
        number[length] = '\0';
        code = units_parse_bytes(number, bytes);
    }
    if (code < 0)
        return err_set(
            err, -EINVAL,
            "\"%.*s\" is no number of bytes (4KiB and 1MB are understood); it takes a size, as 64, "
            "100..2000, normal:MEAN,DEVIATION or exponential:MEAN",
            (int)(length < 40 ? length : 40), text);
    if (*bytes > PAYLOAD_SIZES_MOST)
        return err_set(err, -EINVAL, "%.*s is above 16MiB, the most of a message", (int)length, text);
    return 0;
}

static int refuse_short(int64_t bytes, struct err *err)
{
    return err_set(err, -EINVAL, "%lld is less than %d bytes: a message carries its times and number",
                   (long long)bytes, (int)PAYLOAD_MIN_BYTES);
}

static int parse_range(struct payload_sizes *sizes, const char *text, const char *dots, struct err *err)
{
    sizes->kind = SIZES_RANGE;
    int code = parse_bytes(text, (size_t)(dots - text), &sizes->least, err);
    if (code == 0)
        code = parse_bytes(dots + 2, strlen(dots + 2), &sizes->most, err);
    if (code < 0)
        return code;
    if (sizes->least < PAYLOAD_MIN_BYTES)
        return refuse_short(sizes->least, err);
    if (sizes->most < sizes->least)
        return err_set(err, -EINVAL, "the range ends below its beginning");
    return 0;
}

static int parse_distribution(struct payload_sizes *sizes, const char *numbers, struct err *err)
{
    int64_t mean, deviation = 0;
    size_t length = strcspn(numbers, ",");
    int code = parse_bytes(numbers, length, &mean, err);
    if (code < 0)
        return code;
    bool has_second = numbers[length] == ',';
    if (has_second != (sizes->kind == SIZES_NORMAL))
        return err_set(err, -EINVAL, "it takes %s",
                       has_second ? "one number, the mean" : "two numbers, mean and standard deviation");
    if (has_second)
        code = parse_bytes(numbers + length + 1, strlen(numbers + length + 1), &deviation, err);
    if (code < 0)
        return code;
    if (mean < PAYLOAD_MIN_BYTES)
        return refuse_short(mean, err);
    sizes->mean = (double)mean;
    sizes->deviation = (double)deviation;
    return 0;
}

int payload_sizes_parse(struct payload_sizes *sizes, const char *text, struct err *err)
{
    const char *dots = strstr(text, "..");
    *sizes = (struct payload_sizes){.kind = SIZES_ONE};
    if (strncmp(text, "normal:", 7) == 0) {
        sizes->kind = SIZES_NORMAL;
        return parse_distribution(sizes, text + 7, err);
    }
    if (strncmp(text, "exponential:", 12) == 0) {
        sizes->kind = SIZES_EXPONENTIAL;
        return parse_distribution(sizes, text + 12, err);
    }
    if (dots)
        return parse_range(sizes, text, dots, err);
    int code = parse_bytes(text, strlen(text), &sizes->least, err);
    if (code == 0 && sizes->least < PAYLOAD_MIN_BYTES)
        code = refuse_short(sizes->least, err);
    sizes->most = sizes->least;
    return code;
}

const char *payload_sizes_name(const struct payload_sizes *sizes)
{
    static const char *const names[] = {[SIZES_ONE] = "one",
                                        [SIZES_RANGE] = "range",
                                        [SIZES_NORMAL] = "normal",
                                        [SIZES_EXPONENTIAL] = "exponential"};
    return names[sizes->kind];
}

// How many standard deviations above the mean that share of a normal distribution is below.
static double normal_at(double share)
{
    double low = -9, high = 9;
    for (int i = 0; i < 50; i++) {
        double middle = (low + high) / 2;
        if (erfc(-middle / sqrt(2)) / 2 < share)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

uint32_t payload_sizes_at(const struct payload_sizes *sizes, double share)
{
    double size = (double)sizes->least;
    if (sizes->kind == SIZES_RANGE)
        size = floor(size + share * (double)(sizes->most - sizes->least + 1));
    else if (sizes->kind == SIZES_NORMAL)
        size = round(sizes->mean + sizes->deviation * normal_at(share));
    else if (sizes->kind == SIZES_EXPONENTIAL)
        size = round(-sizes->mean * log1p(-share));
    if (size < PAYLOAD_MIN_BYTES)
        return PAYLOAD_MIN_BYTES;
    return size > PAYLOAD_SIZES_MOST ? (uint32_t)PAYLOAD_SIZES_MOST : (uint32_t)size;
}
