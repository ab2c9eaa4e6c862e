// SPDX-License-Identifier: Apache-2.0
#include "base/host_files.h"

#include "base/text_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 512, LINES_MAX = 16 };

json_t *host_text(const char *text)
{
    json_t *value = text && text[0] ? json_string(text) : NULL;
    return value ? value : json_null();
}

// Without the newline; NULL when it cannot be read.
static char *read_line(const char *root, const char *path, char line[static LINE_SIZE])
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    if (text_file_read(whole, line, LINE_SIZE) < 0) {
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

json_t *host_file_line(const char *root, const char *path)
{
    char line[LINE_SIZE];
    return host_text(read_line(root, path, line));
}

json_t *host_file_numbers(const char *root, const char *path, int count)
{
    char line[LINE_SIZE];
    const char *at = read_line(root, path, line);
    if (!at) {
        return json_null();
    }
    json_t *numbers = json_array();
    for (int i = 0; i < count; i++) {
        char *end;
        errno = 0;
        int64_t number = strtoll(at, &end, 10);
        if (end == at || errno == ERANGE) {
            json_decref(numbers);
            return json_null();
        }
        if (count == 1) {
            json_decref(numbers);
            return json_integer(number);
        }
        json_array_append_new(numbers, json_integer(number));
        at = end;
    }
    return numbers;
}

json_t *host_file_chosen(const char *root, const char *path)
{
    char line[LINE_SIZE];
    char *open = read_line(root, path, line) ? strchr(line, '[') : NULL;
    char *close = open ? strchr(open, ']') : NULL;
    if (!close) {
        return json_null();
    }
    *close = '\0';
    return host_text(open + 1);
}

// Adds `line` to the sorted list unless it is there.
static int insert(char lines[LINES_MAX][LINE_SIZE], int count, const char *line)
{
    int at = 0;
    while (at < count && strcmp(lines[at], line) < 0) {
        at++;
    }
    if (count == LINES_MAX || (at < count && strcmp(lines[at], line) == 0)) {
        return count;
    }
    memmove(lines[at + 1], lines[at], (size_t)(count - at) * LINE_SIZE);
    snprintf(lines[at], LINE_SIZE, "%s", line);
    return count + 1;
}

json_t *host_files_lines(const char *root, const char *folder, const char *name, const char *file)
{
    char path[PATH_MAX], line[LINE_SIZE], lines[LINES_MAX][LINE_SIZE], all[LINES_MAX * LINE_SIZE] = "";
    snprintf(path, sizeof path, "%s%s", root, folder);
    DIR *entries = opendir(path);
    if (!entries) {
        return json_null();
    }
    int count = 0;
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        if (strncmp(entry->d_name, name, strlen(name)) != 0) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s/%s", folder, entry->d_name, file);
        if (read_line(root, path, line)) {
            count = insert(lines, count, line);
        }
    }
    closedir(entries);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", lines[i]);
    }
    return host_text(all);
}
