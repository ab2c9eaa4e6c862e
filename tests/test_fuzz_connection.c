// SPDX-License-Identifier: Apache-2.0
// The connection fuzzer's committed inputs, each run once through its target (tests/fuzz/fuzz_connection.c says what is checked).
// So every build with a sanitizer meets them, without a fuzzer.
//
//     test_fuzz_connection [FOLDER]...     the inputs of other folders: what a fuzzer has found (make fuzz-coverage)
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { INPUT_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); // the target

static const char *const committed[] = {"tests/fuzz/corpus/connection", NULL};
static const char *const *folders = committed;

static void run_file(const char *path)
{
    static uint8_t input[INPUT_MAX];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t bytes = fread(input, 1, sizeof input, file);
    fclose(file);
    printf("%s\n", path); // the last line names the input that ended the program
    fflush(stdout);
    // In a block of its own size, so that a sanitizer sees a read past the end.
    uint8_t *copy = malloc(bytes ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, input, bytes);
    LLVMFuzzerTestOneInput(copy, bytes);
    free(copy);
}

static int run_folder(const char *path)
{
    char name[4096];
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder)
        fail_msg("%s: not there; run this in the project's folder", path);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        run_file(name);
        count++;
    }
    closedir(folder);
    return count;
}

static void every_input_of_the_corpus_keeps_what_the_fuzzer_checks(void **state)
{
    (void)state;
    for (const char *const *folder = folders; *folder; folder++)
        assert_true(run_folder(*folder) > 0);
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
