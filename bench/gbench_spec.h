// SPDX-License-Identifier: Apache-2.0
// For gbench.cc: what a specification says by itself, before Google Benchmark knows of it. Any thread may
// call.
#ifndef POOLMARK_BENCH_GBENCH_SPEC_H
#define POOLMARK_BENCH_GBENCH_SPEC_H

#include "bench/gbench.h"

#ifdef __cplusplus
extern "C" {
#endif

// 0, or -EINVAL, and `err` names the benchmark and what is wrong with it. What follows is for those that are
// right.
int gb_spec_check(const struct gb_spec *spec, struct err *err) __attribute__((warn_unused_result));

// Every combination of its arguments, the last argument changing fastest: how many there are (1 without
// arguments), and the nth of them, from 0, into the first arg_count of `args`.
size_t gb_spec_combinations(const struct gb_spec *spec);
void gb_spec_combination(const struct gb_spec *spec, size_t nth, int64_t args[GB_ARGS_MAX]);

#ifdef __cplusplus
}
#endif

#endif
