// SPDX-License-Identifier: Apache-2.0
// Lists that grow by doubling. Plain memory of the caller; any thread.
//
//     struct row *grown = list_grow(rows, &capacity, count, sizeof *grown);
//     if (!grown)
//         return false;                // `rows` is as it was
//     rows = grown;
//     rows[count++] = row;
#ifndef POOLMARK_LOADGEN_LIST_GROW_H
#define POOLMARK_LOADGEN_LIST_GROW_H

#include <stddef.h>

// Makes room for one more element of `bytes` behind the first `count`. Returns the list, which may have moved; NULL:
// out of memory. `list` may be NULL with a capacity of 0.
void *list_grow(void *list, size_t *capacity, size_t count, size_t bytes) __attribute__((warn_unused_result));

#endif
