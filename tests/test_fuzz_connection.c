// SPDX-License-Identifier: Apache-2.0
// The connection fuzzer's committed inputs (tests/fuzz/fuzz_connection.c says what is checked).
//
//     test_fuzz_connection [FOLDER]...     the inputs of other folders: what a fuzzer has found (make fuzz-coverage)
#include "tests/fuzz_corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *const committed[] = {"tests/fuzz/corpus/connection", NULL};
static const char *const *folders = committed;

static void every_input_of_the_corpus_keeps_what_the_fuzzer_checks(void **state)
{
    (void)state;
    for (const char *const *folder = folders; *folder; folder++)
        fuzz_corpus_run(*folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_of_the_corpus_keeps_what_the_fuzzer_checks),
    };
    if (argc > 1)
        folders = (const char *const *)(uintptr_t)(argv + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
