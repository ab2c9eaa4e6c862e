// SPDX-License-Identifier: Apache-2.0
#include "tests/temp_dir.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void temp_dir_make(char path[static TEMP_PATH_SIZE])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, TEMP_PATH_SIZE, "%s/poolmark-test-XXXXXX", base && base[0] ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

char *temp_dir_file(const char *path, const char *name, char file[static TEMP_PATH_SIZE])
{
    int length = snprintf(file, TEMP_PATH_SIZE, "%s/%s", path, name);
    assert_in_range(length, 1, TEMP_PATH_SIZE - 1);
    return file;
}

void temp_dir_write(const char *root, const char *path, const char *text)
{
    char file[2 * TEMP_PATH_SIZE];
    snprintf(file, sizeof file, "%s%s", root, path);
    for (char *at = file + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(file, 0755);
        *at = '/';
    }
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

void temp_dir_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

int temp_place_set_up(void **state)
{
    struct temp_place *place = calloc(1, sizeof *place);
    if (!place) {
        return -1;
    }
    temp_dir_make(place->dir);
    temp_dir_file(place->dir, "file", place->file);
    *state = place;
    return 0;
}

int temp_place_tear_down(void **state)
{
    struct temp_place *place = *state;
    temp_dir_remove(place->dir);
    free(place);
    return 0;
}

char *temp_file_read(const char *file)
{
    FILE *from = fopen(file, "re");
    if (!from) {
        return NULL;
    }
    char *text = NULL;
    size_t used = 0, size = 0;
    do {
        size += 65536;
        char *larger = realloc(text, size + 1);
        if (!larger) {
            break;
        }
        text = larger;
        used += fread(text + used, 1, size - used, from);
    } while (used == size);
    fclose(from);
    if (text) {
        text[used] = '\0';
    }
    return text;
}
