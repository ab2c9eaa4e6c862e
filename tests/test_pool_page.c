// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *written(void (*page)(const struct pool_page_row *, size_t, FILE *),
                     const struct pool_page_row *rows, size_t count)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    assert_non_null(to);
    page(rows, count, to);
    fclose(to);
    return text;
}

static void test_a_newline_reaches_no_page(void **state)
{
    (void)state;
    const struct pool_page_row row = {.name = "two\nlines", .strategy = "slab"};
    char *text = written(pool_page_prometheus, &row, 1);
    assert_non_null(strstr(text, "\npoolmark_pool_gets_total{pool=\"two\\nlines\",strategy=\"slab\"} 0\n"));
    free(text);
}

static void test_a_text_has_a_heading_and_a_line_for_each_pool(void **state)
{
    (void)state;
    const struct pool_page_row rows[] = {
        {.name = "one", .strategy = "slab", .object_bytes = 64, .stats = {.gets = 7, .draining = true}},
        {.name = "other", .strategy = "malloc", .object_bytes = 3072}};
    char *text = written(pool_page_text, rows, 2);
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 3);
    assert_int_equal(strncmp(text, "pool ", 5), 0);
    assert_non_null(strstr(text, "\none "));
    assert_non_null(strstr(text, "  draining\nother "));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_newline_reaches_no_page),
        cmocka_unit_test(test_a_text_has_a_heading_and_a_line_for_each_pool),
    };
    return cmocka_run_group_tests_name("pool_page", tests, NULL, NULL);
}
