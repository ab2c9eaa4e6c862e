// SPDX-License-Identifier: Apache-2.0
// A heap that runs out when a test says so, for what allocates by malloc, calloc and realloc. The linker puts
// it before them in the programs that the Makefile lists in `failing_heap` (--wrap): our own calls are
// counted, those of other libraries are not. While it is armed, no other thread may allocate.
//
//     for (int64_t nth = 0, reached = true; reached; nth++) {
//         failing_heap_arm(nth, false);
//         int code = thing_open(&thing);
//         reached = failing_heap_disarm() > nth;
//         assert_int_equal(code, reached ? -ENOMEM : 0);
//     }
#ifndef POOLMARK_TESTS_FAILING_HEAP_H
#define POOLMARK_TESTS_FAILING_HEAP_H

#include <stdbool.h>
#include <stdint.h>

// From now on the request with this number fails, the first one being 0; with `stay` all after it too.
void failing_heap_arm(int64_t nth, bool stay);

// None fails any more. Returns how many there were since it was armed.
int64_t failing_heap_disarm(void);

#endif
