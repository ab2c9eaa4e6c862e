// SPDX-License-Identifier: Apache-2.0
// A line is put together in memory and handed over in one write, so that what a crash leaves behind ends with
// a whole line. A full disk can cut one; then the file is cut back to the last whole line and nothing more is
// written.
#include "base/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct csv {
    int fd;
    int failed; // the first -errno; nothing is written after it
    off_t end;  // of the last whole line
    char *line; // grows with the longest line
    size_t size;
};

static int write_all(struct csv *csv, const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        ssize_t n = write(csv->fd, bytes + done, count - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int code = n < 0 ? -errno : -EIO;
            if (done > 0 && ftruncate(csv->fd, csv->end) < 0) {
                return code; // a pipe or a terminal: what is out is out
            }
            return code;
        }
        done += (size_t)n;
    }
    csv->end += (off_t)count;
    return 0;
}

static int reserve(struct csv *csv, size_t size)
{
    if (size <= csv->size) {
        return 0;
    }
    char *line = realloc(csv->line, size);
    if (!line) {
        return -ENOMEM;
    }
    csv->line = line;
    csv->size = size;
    return 0;
}

int csv_open(struct csv **csv, const char *path, const char *header, struct err *err)
{
    struct csv *made = calloc(1, sizeof *made);
    if (!made) {
        return err_set(err, -ENOMEM, "cannot write %s: out of memory", path);
    }
    int code;
    made->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (made->fd < 0) {
        code = err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
        goto fail_memory;
    }
    csv_row(made, "%s", header);
    if (made->failed < 0) {
        code = err_set(err, made->failed, "cannot write %s: %s", path, strerror(-made->failed));
        goto fail_file;
    }
    *csv = made;
    return 0;

fail_file:
    close(made->fd);
fail_memory:
    free(made->line);
    free(made);
    return code;
}

void csv_row(struct csv *csv, const char *format, ...)
{
    if (csv->failed < 0) {
        return;
    }
    for (;;) {
        va_list args;
        va_start(args, format);
        int length = vsnprintf(csv->line, csv->size, format, args);
        va_end(args);
        if (length < 0) {
            csv->failed = -errno;
            return;
        }
        // One byte more than the text, for the newline, which takes the place of NUL.
        if ((size_t)length + 1 <= csv->size) {
            csv->line[length] = '\n';
            csv->failed = write_all(csv, csv->line, (size_t)length + 1);
            return;
        }
        csv->failed = reserve(csv, (size_t)length + 256);
        if (csv->failed < 0) {
            return;
        }
    }
}

int csv_failure(const struct csv *csv)
{
    return csv->failed;
}

char *csv_quote(const char *text, char *to, unsigned long size)
{
    if (size == 0) {
        return to;
    }
    if (!strpbrk(text, ",\"\r\n")) {
        snprintf(to, size, "%s", text);
        return to;
    }
    // Cut inside the quotes when it does not fit, so that the line stays readable.
    if (size < 3) {
        to[0] = '\0';
        return to;
    }
    size_t at = 0;
    to[at++] = '"';
    for (; *text; text++) {
        size_t need = *text == '"' ? 2 : 1;
        if (at + need + 2 > size) {
            break;
        }
        if (*text == '"') {
            to[at++] = '"';
        }
        to[at++] = *text;
    }
    to[at++] = '"';
    to[at] = '\0';
    return to;
}

int csv_close(struct csv *csv)
{
    if (!csv) {
        return 0;
    }
    int code = csv->failed;
    if (close(csv->fd) < 0 && code == 0) {
        code = -errno;
    }
    free(csv->line);
    free(csv);
    return code;
}
