// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz_corpus.h"

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

void fuzz_corpus_run(const char *path)
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
    assert_true(count > 0);
}
