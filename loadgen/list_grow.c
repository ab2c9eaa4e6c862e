// SPDX-License-Identifier: Apache-2.0
#include "loadgen/list_grow.h"

#include <stdlib.h>

enum { FIRST = 1024 };

void *list_grow(void *list, size_t *capacity, size_t count, size_t bytes)
{
    if (count < *capacity)
        return list;
    size_t more = *capacity > 0 ? *capacity * 2 : FIRST;
    void *grown = realloc(list, more * bytes);
    if (grown)
        *capacity = more;
    return grown;
}
