// SPDX-License-Identifier: Apache-2.0
// The sizes of messages: one, or a distribution. Pure functions.
//
//     64, 4KiB                     each message has so many bytes
//     100..2000                    any size from 100 to 2000, all as often
//     normal:1000,200              around 1000 with a standard deviation of 200
//     exponential:500              500 in the mean: many short ones, few long ones
//
// A distribution is 4096 sizes at equal shares of it, so its tails end at one message in 8192. What would be below 32
// bytes or above 16 MiB has that size.
#ifndef POOLMARK_LOADGEN_PAYLOAD_SIZES_H
#define POOLMARK_LOADGEN_PAYLOAD_SIZES_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { PAYLOAD_SIZES_COUNT = 4096, PAYLOAD_SIZES_MOST = 16777216 };

enum payload_sizes_kind { SIZES_ONE, SIZES_RANGE, SIZES_NORMAL, SIZES_EXPONENTIAL };

struct payload_sizes {
    enum payload_sizes_kind kind;
    int64_t least, most;    // ONE: both the same; RANGE
    double mean, deviation; // NORMAL; EXPONENTIAL has no deviation
};

// -EINVAL with the text in `err`.
int payload_sizes_parse(struct payload_sizes *sizes, const char *text, struct err *err)
    __attribute__((warn_unused_result));

const char *payload_sizes_name(const struct payload_sizes *sizes); // "one", "range", "normal", "exponential"

// The size below which that share (above 0 and below 1) of the messages are, from 32 to PAYLOAD_SIZES_MOST.
uint32_t payload_sizes_at(const struct payload_sizes *sizes, double share);

#endif
