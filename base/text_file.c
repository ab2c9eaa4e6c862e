// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t text_file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    size_t used = 0;
    while (used < size - 1) {
        ssize_t n = read(fd, text + used, size - 1 - used);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int code = -errno;
            close(fd);
            return code;
        }
        if (n == 0) {
            break;
        }
        used += (size_t)n;
    }
    close(fd);
    text[used] = '\0';
    return (ssize_t)used;
}

int text_file_number(const char *text, const char *label, int64_t *number)
{
    size_t length = strlen(label);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, label, length) == 0) {
            char *end;
            int64_t value = strtoll(line + length, &end, 10);
            if (end == line + length) {
                return -ENOENT;
            }
            *number = value;
            return 0;
        }
    }
    return -ENOENT;
}
