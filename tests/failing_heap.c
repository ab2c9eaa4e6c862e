// SPDX-License-Identifier: Apache-2.0
#include "tests/failing_heap.h"

#include <stddef.h>

// What the linker's --wrap calls the wrapped, and what it calls in their place.
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);

// The process's own, since malloc has no context to pass. One thread allocates while it is armed.
static struct {
    bool armed, stay;
    int64_t fail_at, requests;
} heap;

void failing_heap_arm(int64_t nth, bool stay)
{
    heap.armed = true;
    heap.stay = stay;
    heap.fail_at = nth;
    heap.requests = 0;
}

int64_t failing_heap_disarm(void)
{
    heap.armed = false;
    return heap.requests;
}

static bool request_fails(void)
{
    if (!heap.armed)
        return false;
    int64_t number = heap.requests++;
    return number == heap.fail_at || (number > heap.fail_at && heap.stay);
}

void *__wrap_malloc(size_t bytes)
{
    return request_fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return request_fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *block, size_t bytes)
{
    return request_fails() ? NULL : __real_realloc(block, bytes);
}
