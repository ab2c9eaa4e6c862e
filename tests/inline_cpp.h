// SPDX-License-Identifier: Apache-2.0
// The inlined fast path as a C++ program compiles it.
#ifndef POOLMARK_TESTS_INLINE_CPP_H
#define POOLMARK_TESTS_INLINE_CPP_H

#include "pools/pool_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

// Gets `count` objects by the fast path, writes to each, and puts them. Returns how many were got.
int inline_cpp_round(struct pool *pool, int count);
unsigned inline_cpp_version(void);
struct pool *inline_cpp_open(const char *strategy, struct err *err); // with the defaults; NULL: not opened

#ifdef __cplusplus
}
#endif

#endif
