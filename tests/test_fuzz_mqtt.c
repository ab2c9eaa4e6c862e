// SPDX-License-Identifier: Apache-2.0
// The committed inputs of the codec's fuzzer (wire/fuzz_mqtt.c says what is checked).
#include "tests/fuzz_corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void every_input_of_the_corpus_keeps_what_the_fuzzer_checks(void **state)
{
    (void)state;
    fuzz_corpus_run("tests/fuzz/corpus/mqtt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_of_the_corpus_keeps_what_the_fuzzer_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
