// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/pools_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAIL_BYTES = 16384, FIELDS_MAX = 32 };

static const struct {
    const char *pool, *name;
} names[PART_COUNT] = {
    [PART_OBJECTS] = {"connections", "objects"},
    [PART_BUFFERS] = {"buffers", "buffers"},
    [PART_ARENAS] = {"arenas", "arenas"},
    [PART_MESSAGES] = {"messages", "messages"},
};

int pools_file_check(const struct opt_list *folders, struct err *err)
{
    for (int i = 0; i < folders->count; i++) {
        char path[4096];
        for (int j = 0; j < i; j++)
            if (strcmp(folders->values[i], folders->values[j]) == 0)
                return err_set(err, -EINVAL, "--watch-record %s: is given twice", folders->values[i]);
        snprintf(path, sizeof path, "%s/pools.csv", folders->values[i]);
        if (access(path, R_OK) < 0)
            return err_set(
                err, -EINVAL,
                "--watch-record: cannot read %s: %m; name the --record folder of a poolmark-broker "
                "that runs",
                path);
    }
    return 0;
}

const char *pool_part_name(enum pool_part part)
{
    return (unsigned)part < PART_COUNT ? names[part].name : "unknown";
}

struct columns {
    int at_ns, pool, bytes_owned, peak_in_use; // -1: not there
};

static int split(char *line, char *fields[FIELDS_MAX])
{
    int count = 0;
    for (char *at = line; at && count < FIELDS_MAX; count++) {
        fields[count] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = '\0';
    }
    return count;
}

static struct columns read_header(char *line)
{
    struct columns columns = {-1, -1, -1, -1};
    char *fields[FIELDS_MAX];
    int count = split(line, fields);
    for (int i = 0; i < count; i++) {
        if (strcmp(fields[i], "at_ns") == 0)
            columns.at_ns = i;
        else if (strcmp(fields[i], "pool") == 0)
            columns.pool = i;
        else if (strcmp(fields[i], "bytes_owned") == 0)
            columns.bytes_owned = i;
        else if (strcmp(fields[i], "peak_in_use") == 0)
            columns.peak_in_use = i;
    }
    return columns;
}

// -1: the column is not there, or the strategy keeps no statistics.
static int64_t number_in(char *const fields[FIELDS_MAX], int count, int column)
{
    return column >= 0 && column < count && *fields[column] ? strtoll(fields[column], NULL, 10) : -1;
}

static void take_line(char *line, const struct columns *columns, struct pool_parts *last)
{
    char *fields[FIELDS_MAX];
    int count = split(line, fields);
    if (count <= columns->at_ns || count <= columns->pool || count <= columns->bytes_owned)
        return;
    for (int part = 0; part < PART_COUNT; part++)
        if (strcmp(fields[columns->pool], names[part].pool) == 0) {
            if (*fields[columns->bytes_owned]) // empty: the strategy keeps no statistics
                last->bytes[part] = strtoll(fields[columns->bytes_owned], NULL, 10);
            last->at_ns = strtoll(fields[columns->at_ns], NULL, 10);
            if (part == PART_OBJECTS) // of which each connection has one
                last->most_connections = number_in(fields, count, columns->peak_in_use);
        }
}

static int read_part(int file, off_t from, char *to, size_t size)
{
    ssize_t bytes = pread(file, to, size - 1, from);
    if (bytes < 0)
        return -errno;
    to[bytes] = '\0';
    return (int)bytes;
}

int pools_file_add(struct pool_parts *parts, const char *dir)
{
    char path[4096], text[TAIL_BYTES + 1];
    snprintf(path, sizeof path, "%s/pools.csv", dir);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    off_t size = lseek(file, 0, SEEK_END);
    int code = read_part(file, 0, text, 1024);
    struct columns columns = {-1, -1, -1, -1};
    char *end = code > 0 ? strchr(text, '\n') : NULL;
    off_t from = 0;
    if (end) {
        from = end - text + 1;
        *end = '\0';
        columns = read_header(text);
    }
    bool cut = size - from > TAIL_BYTES; // then the first line read is not whole
    if (cut)
        from = size - TAIL_BYTES;
    code = columns.pool < 0 || columns.at_ns < 0 || columns.bytes_owned < 0
               ? -EINVAL
               : read_part(file, from, text, sizeof text);
    close(file);
    if (code < 0)
        return code;
    struct pool_parts last = POOL_PARTS_NONE;
    last.most_connections = -1;
    for (char *at = text, *next; (next = strchr(at, '\n')); at = next + 1) {
        *next = '\0';
        if (!cut)
            take_line(at, &columns, &last);
        cut = false;
    }
    for (int part = 0; part < PART_COUNT; part++)
        if (last.bytes[part] >= 0)
            parts->bytes[part] = (parts->bytes[part] >= 0 ? parts->bytes[part] : 0) + last.bytes[part];
    bool known = parts->most_connections >= 0 && last.most_connections >= 0;
    parts->most_connections = known ? parts->most_connections + last.most_connections : -1;
    if (last.at_ns > 0 && (parts->at_ns == 0 || last.at_ns < parts->at_ns))
        parts->at_ns = last.at_ns;
    return 0;
}
