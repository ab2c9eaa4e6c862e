// SPDX-License-Identifier: Apache-2.0
// For gbench.cc: checks and expands a specification, without Google Benchmark. Any thread may call.
#ifndef POOLMARK_BENCH_GBENCH_SPEC_H
#define POOLMARK_BENCH_GBENCH_SPEC_H

#include "bench/gbench.h"

#ifdef __cplusplus
extern "C" {
#endif

// 0, or -EINVAL; `err` names the benchmark and what is wrong with it. The functions below need a correct
// spec.
int gb_spec_check(const struct gb_spec *spec, struct err *err) __attribute__((warn_unused_result));

// The combinations of a spec's arguments, the last argument changing fastest. gb_spec_combinations: how many
// there are (1 without arguments). gb_spec_combination: stores the nth, from 0, in the first arg_count of
// `args`.
size_t gb_spec_combinations(const struct gb_spec *spec);
void gb_spec_combination(const struct gb_spec *spec, size_t nth, int64_t args[GB_ARGS_MAX]);

#ifdef __cplusplus
}
#endif

#endif
