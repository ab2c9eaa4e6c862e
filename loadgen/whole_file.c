// SPDX-License-Identifier: Apache-2.0
#include "loadgen/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_BYTES = 1 << 16 };

// Reads to the end, into memory that grows. Reads one byte more than `most` at most.
static int read_all(int fd, size_t most, char **bytes, size_t *count)
{
    size_t capacity = 0;
    for (;;) {
        if (*count + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : FIRST_BYTES;
            char *grown = realloc(*bytes, capacity);
            if (!grown)
                return -ENOMEM;
            *bytes = grown;
        }
        ssize_t got = read(fd, *bytes + *count, capacity - *count - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        (*bytes)[*count + (size_t)got] = '\0';
        *count += (size_t)got;
        if (got == 0)
            return 0;
        if (*count > most)
            return -EFBIG;
    }
}

int whole_file_read(const char *path, size_t most, char **bytes, size_t *count, struct err *err)
{
    *bytes = NULL;
    *count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = fd < 0 ? -errno : read_all(fd, most, bytes, count);
    if (fd >= 0)
        close(fd);
    if (code == 0)
        return 0;
    free(*bytes);
    *bytes = NULL;
    *count = 0;
    if (code == -EFBIG)
        return err_set(err, -EINVAL, "%s has more than %zu bytes", path, most);
    errno = -code;
    return err_set(err, -EINVAL, "cannot read %s: %m", path);
}
