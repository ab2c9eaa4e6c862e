// SPDX-License-Identifier: Apache-2.0
// For tests of loadgen/costs.h: a run, the acts of a part of it, and what is wrong with its cost. Inline: a test includes
// it, and links nothing more.
#ifndef POOLMARK_TESTS_COST_PART_H
#define POOLMARK_TESTS_COST_PART_H

#include "loadgen/costs.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline struct run a_run(void)
{
    static const struct config quiet = {.quiet = true};
    struct run run = {.config = &quiet};
    strangers_init(&run.strangers);
    return run;
}

// 1000 acts in two seconds, of 50 us each.
static inline struct cost_part a_part(void)
{
    return (struct cost_part){
        .cpu_ns = 50 * NS_PER_MS, .took_ns = 2 * NS_PER_S, .made = 1000, .more_descriptors = 0};
}

static inline void assert_faults(const struct run *run, const struct cost_part *part, const char *expected)
{
    char text[64];
    assert_string_equal(costs_faults(run, part, text), expected);
}

#endif
