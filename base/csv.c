// SPDX-License-Identifier: Apache-2.0
// A line is built in memory and written by one call, so that the file ends with a whole line after a crash. A
// full disk can cut a line short. Then the file is truncated to the last whole line, and the line waits.
//
// The file is open for reading too, so that the check at the end needs no descriptor of its own.
#include "base/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITING_MAX = 4 << 20 };

struct csv {
    int fd;
    char *path;
    struct written written; // up to the last whole line
    char *line;             // grows with the longest line
    size_t size;
    char *waiting; // whole lines that are not written yet
    size_t waiting_bytes, waiting_size;
    int64_t waiting_rows;
    struct csv_account account; // without the lines that wait
};

// Writes all bytes; or none, with -errno. `*taken`: bytes that a pipe or terminal took and cannot give back.
static int write_all(struct csv *csv, const char *bytes, size_t count, size_t *taken)
{
    size_t done = 0;
    *taken = 0;
    while (done < count) {
        ssize_t n = write(csv->fd, bytes + done, count - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int code = n < 0 ? -errno : -EIO;
            if (done > 0 && (ftruncate(csv->fd, (off_t)csv->written.bytes) < 0 ||
                             lseek(csv->fd, (off_t)csv->written.bytes, SEEK_SET) < 0)) {
                *taken = done;
                written_add(&csv->written, bytes, done);
            }
            return code;
        }
        done += (size_t)n;
    }
    written_add(&csv->written, bytes, count);
    return 0;
}

static int reserve(char **buffer, size_t *size, size_t needed)
{
    if (needed <= *size) {
        return 0;
    }
    char *grown = realloc(*buffer, needed);
    if (!grown) {
        return -ENOMEM;
    }
    *buffer = grown;
    *size = needed;
    return 0;
}

static void note_failure(struct csv *csv, int code)
{
    if (csv->account.failure == 0) {
        csv->account.failure = code;
    }
}

// Waiting lines are written before newer ones.
static int write_waiting(struct csv *csv)
{
    if (csv->waiting_bytes == 0) {
        return 0;
    }
    size_t taken;
    int code = write_all(csv, csv->waiting, csv->waiting_bytes, &taken);
    if (code < 0) {
        memmove(csv->waiting, csv->waiting + taken, csv->waiting_bytes - taken);
        csv->waiting_bytes -= taken;
        return code;
    }
    csv->account.late += csv->waiting_rows;
    csv->waiting_rows = 0;
    csv->waiting_bytes = 0;
    return 0;
}

static void let_wait(struct csv *csv, const char *line, size_t bytes)
{
    size_t needed = csv->waiting_bytes + bytes;
    if (needed > WAITING_MAX || reserve(&csv->waiting, &csv->waiting_size, needed * 2) < 0) {
        csv->account.lost++;
        return;
    }
    memcpy(csv->waiting + csv->waiting_bytes, line, bytes);
    csv->waiting_bytes = needed;
    csv->waiting_rows++;
}

static void write_line(struct csv *csv, const char *line, size_t bytes)
{
    size_t taken = 0;
    int code = write_waiting(csv);
    if (code == 0) {
        code = write_all(csv, line, bytes, &taken);
    }
    if (code < 0) {
        note_failure(csv, code);
        let_wait(csv, line + taken, bytes - taken);
    }
}

int csv_open(struct csv **csv, const char *path, const char *header, struct err *err)
{
    struct csv *made = calloc(1, sizeof *made);
    if (!made) {
        return err_set(err, -ENOMEM, "cannot write %s: out of memory", path);
    }
    int code;
    made->written = WRITTEN_NONE;
    made->path = strdup(path);
    if (!made->path) {
        code = err_set(err, -ENOMEM, "cannot write %s: out of memory", path);
        goto fail_memory;
    }
    made->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (made->fd < 0) {
        code = err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
        goto fail_memory;
    }
    csv_row(made, "%s", header);
    code = csv_failure(made);
    if (code < 0) {
        err_set(err, code, "cannot write %s: %s", path, strerror(-code));
        goto fail_file;
    }
    made->account = (struct csv_account){0};
    *csv = made;
    return 0;

fail_file:
    close(made->fd);
fail_memory:
    free(made->waiting);
    free(made->line);
    free(made->path);
    free(made);
    return code;
}

void csv_row(struct csv *csv, const char *format, ...)
{
    csv->account.rows++;
    for (;;) {
        va_list args;
        va_start(args, format);
        int length = vsnprintf(csv->line, csv->size, format, args);
        va_end(args);
        int code = length < 0 ? -errno : 0;
        // One byte more than the text: the newline replaces the NUL.
        if (code == 0 && (size_t)length + 1 <= csv->size) {
            csv->line[length] = '\n';
            write_line(csv, csv->line, (size_t)length + 1);
            return;
        }
        if (code == 0) {
            code = reserve(&csv->line, &csv->size, (size_t)length + 256);
        }
        if (code < 0) {
            note_failure(csv, code);
            csv->account.lost++;
            return;
        }
    }
}

int csv_failure(const struct csv *csv)
{
    return csv->account.lost > 0 || csv->waiting_rows > 0 ? csv->account.failure : 0;
}

struct csv_account csv_account(const struct csv *csv)
{
    struct csv_account account = csv->account;
    account.lost += csv->waiting_rows;
    if (account.fate != WRITTEN_WHOLE) {
        account.rows = account.rows > 0 ? account.rows : 1;
        account.lost = account.rows;
    }
    return account;
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
    // A text that does not fit is cut inside the quotes, so that the line stays readable.
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

int csv_close_account(struct csv *csv, struct csv_account *account)
{
    if (!csv) {
        return 0;
    }
    (void)!write_waiting(csv);
    int code = csv_failure(csv);
    csv->account.fate = written_check(&csv->written, csv->fd, csv->path);
    if (csv->account.fate != WRITTEN_WHOLE && code == 0) {
        code = -ESTALE;
    }
    if (close(csv->fd) < 0 && code == 0) {
        code = -errno;
    }
    if (account) {
        *account = csv_account(csv);
    }
    free(csv->waiting);
    free(csv->line);
    free(csv->path);
    free(csv);
    return code;
}

int csv_close(struct csv *csv)
{
    return csv_close_account(csv, NULL);
}
