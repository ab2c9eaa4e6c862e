// SPDX-License-Identifier: Apache-2.0
// The program runs itself with each allocator preloaded ("--report") and looks at what it says.
#include "base/heap.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCKS = 1000, BLOCK_BYTES = 10000 };

struct report {
    char name[32], version[32];
    long long in_use_before, in_use_full, in_use_after, mapped_full, mapped_trimmed, usable;
};

static void allocate(void *blocks[BLOCKS])
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        if (!blocks[i]) {
            abort();
        }
        memset(blocks[i], 1, BLOCK_BYTES);
    }
}

static struct report make_report(void)
{
    static void *blocks[BLOCKS];
    char version[24];
    struct report r = {.in_use_before = heap_read().in_use_bytes};
    snprintf(r.name, sizeof r.name, "%s", heap_name());
    snprintf(r.version, sizeof r.version, "%s", heap_version(version, sizeof version));
    allocate(blocks);
    struct heap_stats full = heap_read();
    r.in_use_full = full.in_use_bytes;
    r.mapped_full = full.mapped_bytes;
    r.usable = heap_usable_bytes(blocks[0]);
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    r.in_use_after = heap_read().in_use_bytes;
    heap_trim();
    r.mapped_trimmed = heap_read().mapped_bytes;
    return r;
}

static int print_report(void)
{
    struct report r = make_report();
    printf("report %s %s %lld %lld %lld %lld %lld %lld\n", r.name, r.version[0] ? r.version : "-",
           r.in_use_before, r.in_use_full, r.in_use_after, r.mapped_full, r.mapped_trimmed, r.usable);
    return 0;
}

// False when `library` is not installed. Static linking and sanitizers aside, it is then the allocator.
static bool report_with(const char *library, struct report *r)
{
    char self[512], command[1024], line[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    snprintf(command, sizeof command, "LD_PRELOAD=%s '%s' --report 2>&1", library, self);
    FILE *from = popen(command, "re");
    assert_non_null(from);
    bool found = false, missing = false;
    while (fgets(line, sizeof line, from)) {
        missing |= strstr(line, "cannot be preloaded") != NULL;
        found |= sscanf(line, "report %31s %31s %lld %lld %lld %lld %lld %lld", r->name, r->version,
                        &r->in_use_before, &r->in_use_full, &r->in_use_after, &r->mapped_full,
                        &r->mapped_trimmed, &r->usable) == 8;
    }
    assert_int_equal(pclose(from), 0);
    assert_true(found);
    return !missing;
}

static bool is_instrumented(void)
{
    return strcmp(heap_name(), "unknown") == 0;
}

static const long long FILLED = (long long)BLOCKS * BLOCK_BYTES;

static void counts_what_is_handed_out(const struct report *r)
{
    assert_true(r->in_use_full - r->in_use_before >= FILLED);
    assert_true(r->in_use_full - r->in_use_before < 2 * FILLED);
    assert_true(r->in_use_full - r->in_use_after > FILLED / 2);
    assert_true(r->mapped_full >= r->in_use_full);
    assert_true(r->mapped_trimmed < r->mapped_full);
}

static void glibc_is_recognised_and_read(void **state)
{
    (void)state;
    if (is_instrumented()) {
        skip();
    }
    struct report r;
    assert_true(report_with("", &r));
    assert_string_equal(r.name, "glibc");
    assert_non_null(strchr(r.version, '.'));
    counts_what_is_handed_out(&r);
    assert_true(r.usable >= BLOCK_BYTES);
}

static void preloaded(const char *library, const char *name, struct report *r)
{
    if (is_instrumented() || !report_with(library, r)) {
        skip();
    }
    assert_string_equal(r->name, name);
    assert_non_null(strchr(r->version, '.'));
    assert_true(r->usable >= BLOCK_BYTES);
}

static void tcmalloc_is_recognised_and_read(void **state)
{
    (void)state;
    struct report r;
    preloaded("libtcmalloc.so.4", "tcmalloc", &r);
    counts_what_is_handed_out(&r);
}

static void minimal_tcmalloc_is_tcmalloc_as_well(void **state)
{
    (void)state;
    struct report r;
    preloaded("libtcmalloc_minimal.so.4", "tcmalloc", &r);
    counts_what_is_handed_out(&r);
}

static void jemalloc_is_recognised_and_read(void **state)
{
    (void)state;
    struct report r;
    preloaded("libjemalloc.so.2", "jemalloc", &r);
    counts_what_is_handed_out(&r);
}

static void a_later_mimalloc_says_its_version_in_two_digits(void **state)
{
    (void)state;
    struct report r;
    preloaded(PLUGINS "/new-heap.so", "mimalloc", &r);
    assert_string_equal(r.version, "2.4.5");
}

static void mimalloc_is_recognised_and_says_what_it_took(void **state)
{
    (void)state;
    struct report r;
    preloaded("libmimalloc.so.2.0", "mimalloc", &r);
    assert_int_equal(r.in_use_full, -1);
    assert_true(r.mapped_full >= FILLED);
}

static void a_sanitizer_s_allocator_is_unknown_and_gives_no_figures(void **state)
{
    (void)state;
    if (!is_instrumented()) {
        skip();
    }
    char version[24] = "x";
    assert_string_equal(heap_version(version, sizeof version), "");
    assert_int_equal(heap_read().in_use_bytes, -1);
    assert_int_equal(heap_read().mapped_bytes, -1);
    heap_trim();
    void *block = malloc(100);
    assert_true(heap_usable_bytes(block) >= 100);
    free(block);
}

static void a_small_buffer_gets_what_fits_of_the_version(void **state)
{
    (void)state;
    char text[3] = "zz";
    assert_ptr_equal(heap_version(text, 2), text);
    assert_true(strlen(text) < 2);
    text[0] = 'z';
    heap_version(text, 0);
    assert_int_equal(text[0], 'z');
}

// The last of these tests: it changes the allocator.
static void freed_blocks_are_joined_at_once_when_that_is_wanted(void **state)
{
    (void)state;
    enum { SMALL_BYTES = 40 };
    void *blocks[BLOCKS];
    if (is_instrumented()) {
        skip();
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(SMALL_BYTES);
            assert_non_null(blocks[i]);
        }
        for (int i = 0; i < BLOCKS; i++) {
            free(blocks[i]);
        }
        size_t aside = mallinfo2().fsmblks;
        assert_true(round == 0 ? aside > BLOCKS / 2 * SMALL_BYTES : aside == 0);
        heap_join_at_once();
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--report") == 0) {
        return print_report();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(glibc_is_recognised_and_read),
        cmocka_unit_test(tcmalloc_is_recognised_and_read),
        cmocka_unit_test(minimal_tcmalloc_is_tcmalloc_as_well),
        cmocka_unit_test(jemalloc_is_recognised_and_read),
        cmocka_unit_test(a_later_mimalloc_says_its_version_in_two_digits),
        cmocka_unit_test(mimalloc_is_recognised_and_says_what_it_took),
        cmocka_unit_test(a_sanitizer_s_allocator_is_unknown_and_gives_no_figures),
        cmocka_unit_test(a_small_buffer_gets_what_fits_of_the_version),
        cmocka_unit_test(freed_blocks_are_joined_at_once_when_that_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
