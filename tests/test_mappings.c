// SPDX-License-Identifier: Apache-2.0
#include "base/mappings.h"

#include "base/heap.h"
#include "base/procmem.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096, MIB = 1 << 20, BLOCK_BYTES = 100000 }; // the block is small enough for a thread's arena

static struct mappings read_with(const struct mapping_range *known, size_t count)
{
    struct mappings mappings;
    assert_int_equal(mappings_read(&mappings, known, count), 0);
    return mappings;
}

static char *map_pages(size_t pages)
{
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    (void)madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    return memory;
}

static struct mapping_range range_of(const char *memory, size_t from, size_t to)
{
    return (struct mapping_range){(uintptr_t)memory + from * PAGE, (uintptr_t)memory + to * PAGE,
                                  MAPPING_POOL};
}

static void the_kinds_add_up_to_the_proportional_set_size_of_the_process(void **state)
{
    (void)state;
    struct mappings mappings = read_with(NULL, 0);
    struct procmem memory;
    int64_t sum = 0;
    for (int kind = 0; kind < MAPPING_KINDS; kind++)
        sum += mappings.pss_bytes[kind];
    assert_int_equal(sum, mappings.whole_bytes);
    assert_int_equal(procmem_read(getpid(), &memory), 0);
    // Others may map the same libraries meanwhile, which changes PSS; anonymous memory is this process's alone.
    assert_in_range(mappings.whole_bytes, memory.pss_bytes / 2, memory.pss_bytes * 2);
    assert_in_range(mappings.anonymous_bytes, memory.private_bytes - memory.private_bytes / 20,
                    memory.private_bytes + memory.private_bytes / 20);
    assert_true(mappings.anonymous_bytes < mappings.whole_bytes);
    assert_true(mappings.pss_bytes[MAPPING_CODE] > 0 && mappings.pss_bytes[MAPPING_DATA] > 0);
    assert_true(mappings.pss_bytes[MAPPING_STACK] > 0 && mappings.pss_bytes[MAPPING_POOL] == 0);
}

// Otherwise a heap of which the kernel took a part would have less than is handed out: free memory below 0.
static void what_is_swapped_out_is_of_its_mapping(void **state)
{
    (void)state;
    char smaps[] = "10000000-10100000 rw-p 00000000 00:00 0                  [heap]\n"
                   "Size: 1024 kB\nPss: 100 kB\nAnonymous: 100 kB\nSwap: 920 kB\nSwapPss: 900 kB\n"
                   "20000000-20010000 rw-p 00001000 08:01 77                 /lib/one.so\n"
                   "Size: 64 kB\nPss: 20 kB\nAnonymous: 8 kB\nSwap: 0 kB\nSwapPss: 0 kB\n";
    FILE *file = fmemopen(smaps, strlen(smaps), "r");
    struct mappings mappings;
    assert_int_equal(mappings_parse(&mappings, file, -1, NULL, 0), 0);
    fclose(file);
    assert_int_equal(mappings.pss_bytes[MAPPING_HEAP], 1000 * 1024);
    assert_int_equal(mappings.pss_bytes[MAPPING_DATA], 8 * 1024);
    assert_int_equal(mappings.pss_bytes[MAPPING_CODE], 12 * 1024);
    assert_int_equal(mappings.whole_bytes, 1020 * 1024);
    assert_int_equal(mappings.anonymous_bytes, 1008 * 1024);
    assert_int_equal(mappings.swap_bytes, 900 * 1024);
}

static void a_known_range_counts_the_pages_that_were_written(void **state)
{
    (void)state;
    char *memory = map_pages(64);
    for (size_t page = 4; page < 40; page += 2)
        memory[page * PAGE] = 1;
    struct mapping_range known[] = {range_of(memory, 8, 16), range_of(memory, 32, 64)};
    struct mappings mappings = read_with(known, 2);
    assert_int_equal(mappings.pss_bytes[MAPPING_POOL], (4 + 4) * PAGE);
    struct mapping_range whole = range_of(memory, 0, 64);
    assert_int_equal(read_with(&whole, 1).pss_bytes[MAPPING_POOL], 18 * PAGE);
    munmap(memory, 64 * PAGE);
    assert_int_equal(read_with(&whole, 1).pss_bytes[MAPPING_POOL], 0);
}

static void a_page_that_was_only_read_has_no_memory(void **state)
{
    (void)state;
    char *memory = map_pages(16);
    volatile char sum = 0;
    for (size_t page = 0; page < 16; page++)
        sum = (char)(sum + memory[page * PAGE]);
    memory[5 * PAGE] = 1;
    struct mapping_range known = range_of(memory, 1, 15);
    assert_int_equal(read_with(&known, 1).pss_bytes[MAPPING_POOL], PAGE);
    munmap(memory, 16 * PAGE);
}

// The thread sanitizer keeps shadows of all memory, which are anonymous memory of no owner as well.
static void skip_with_shadows(void)
{
#ifdef __SANITIZE_THREAD__
    skip();
#endif
}

static void anonymous_memory_that_nobody_names_is_of_another_kind(void **state)
{
    (void)state;
    skip_with_shadows();
    struct mappings before = read_with(NULL, 0);
    char *memory = map_pages(2048);
    memset(memory, 1, 2048 * PAGE);
    struct mappings after = read_with(NULL, 0);
    int64_t more = after.pss_bytes[MAPPING_OTHER] - before.pss_bytes[MAPPING_OTHER];
    assert_in_range(more, 2048 * PAGE - MIB / 4, 2048 * PAGE + MIB / 4);
    munmap(memory, 2048 * PAGE);
}

struct helper {
    pthread_t thread;
    sem_t ready, end;
    bool allocates;
    uintptr_t from, to; // of its stack
};

// Volatile: no code reads it.
static void write_pages(volatile char *memory, size_t bytes)
{
    for (size_t at = 0; memory && at < bytes; at += PAGE)
        memory[at] = 1;
}

static void *help(void *context)
{
    struct helper *helper = context;
    pthread_attr_t attributes;
    void *start, *block = NULL;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        abort();
    pthread_attr_getstack(&attributes, &start, &bytes);
    pthread_attr_destroy(&attributes);
    helper->from = (uintptr_t)start;
    helper->to = helper->from + bytes;
    if (helper->allocates) {
        block = malloc(BLOCK_BYTES);
        write_pages(block, BLOCK_BYTES);
    } else {
        char much[MIB];
        write_pages(much, MIB);
    }
    sem_post(&helper->ready);
    while (sem_wait(&helper->end) < 0 && errno == EINTR)
        ;
    free(block);
    return NULL;
}

static void start_helper(struct helper *helper, bool allocates)
{
    *helper = (struct helper){.allocates = allocates};
    sem_init(&helper->ready, 0, 0);
    sem_init(&helper->end, 0, 0);
    assert_int_equal(pthread_create(&helper->thread, NULL, help, helper), 0);
    while (sem_wait(&helper->ready) < 0 && errno == EINTR)
        ;
}

static void end_helper(struct helper *helper)
{
    sem_post(&helper->end);
    pthread_join(helper->thread, NULL);
}

static void the_stack_of_a_thread_is_found_above_its_guard_page_or_by_its_range(void **state)
{
    (void)state;
    skip_with_shadows();
    struct helper helper;
    struct mappings before = read_with(NULL, 0);
    start_helper(&helper, false);
    struct mapping_range stack = {helper.from, helper.to, MAPPING_STACK};
    int64_t named = read_with(&stack, 1).pss_bytes[MAPPING_STACK] - before.pss_bytes[MAPPING_STACK];
    int64_t found = read_with(NULL, 0).pss_bytes[MAPPING_STACK] - before.pss_bytes[MAPPING_STACK];
    end_helper(&helper);
    assert_in_range(named, MIB, MIB + MIB / 2);
    assert_in_range(found, MIB, MIB + MIB / 2);
}

static void an_arena_of_a_thread_is_heap(void **state)
{
    (void)state;
    if (strcmp(heap_name(), "glibc") != 0)
        skip();
    struct helper helper;
    struct mappings before = read_with(NULL, 0);
    start_helper(&helper, true);
    struct mappings after = read_with(NULL, 0);
    end_helper(&helper);
    assert_in_range(after.pss_bytes[MAPPING_HEAP] - before.pss_bytes[MAPPING_HEAP], BLOCK_BYTES - PAGE,
                    BLOCK_BYTES + MIB);
    assert_true(after.heap_span_bytes >= BLOCK_BYTES && after.arena_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kinds_add_up_to_the_proportional_set_size_of_the_process),
        cmocka_unit_test(what_is_swapped_out_is_of_its_mapping),
        cmocka_unit_test(a_known_range_counts_the_pages_that_were_written),
        cmocka_unit_test(a_page_that_was_only_read_has_no_memory),
        cmocka_unit_test(anonymous_memory_that_nobody_names_is_of_another_kind),
        cmocka_unit_test(the_stack_of_a_thread_is_found_above_its_guard_page_or_by_its_range),
        cmocka_unit_test(an_arena_of_a_thread_is_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
