// SPDX-License-Identifier: Apache-2.0
// A folder for what a test writes, below TMPDIR or /tmp, and files read back whole.
#ifndef POOLMARK_TESTS_TEMP_DIR_H
#define POOLMARK_TESTS_TEMP_DIR_H

enum { TEMP_PATH_SIZE = 512 };

// Makes an empty folder of its own for each call; `path` is for temp_dir_remove. Fails the test when it
// cannot.
void temp_dir_make(char path[static TEMP_PATH_SIZE]);

// The path of `name` in it, into `file`; returns `file`.
char *temp_dir_file(const char *path, const char *name, char file[static TEMP_PATH_SIZE]);

// Writes a file below it, "/proc/7/cgroup", and makes the folders on the way.
void temp_dir_write(const char *root, const char *path, const char *text);

// With everything in it.
void temp_dir_remove(const char *path);

// cmocka's set-up and tear-down for a test that writes one file: `*state` is then a struct temp_place.
struct temp_place {
    char dir[TEMP_PATH_SIZE];
    char file[TEMP_PATH_SIZE]; // a path in `dir` where nothing is yet
};
int temp_place_set_up(void **state);
int temp_place_tear_down(void **state);

// The text of a file, NUL-terminated, to be freed; NULL when it cannot be read.
char *temp_file_read(const char *file);

#endif
