// SPDX-License-Identifier: Apache-2.0
// The form of a log: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
#include "broker/state/state_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GONE                                                                                                 \
    "the broker before did not end in order (or was Poolmark 0.2.0), and its log, FILE-wal, is not there "   \
    "or "                                                                                                    \
    "empty: what it acknowledged last may be missing"
#define DAMAGED                                                                                              \
    "its log, FILE-wal, is damaged before its end, and what came after the damage was not read: what was "   \
    "acknowledged last may be missing"

enum {
    HEADER_BYTES = 32,
    FRAME_HEADER_BYTES = 24,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    SALT_BYTES = 8,
};

struct checksum {
    uint32_t first, second;
};

struct log {
    int fd;
    bool is_big_endian; // the words of its checksums
    size_t page_bytes;
    uint8_t salt[SALT_BYTES];
    struct checksum sum; // of all right frames so far
};

static uint32_t word_at(const uint8_t *bytes, bool is_big_endian)
{
    return is_big_endian
               ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
               : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static struct checksum add(struct checksum sum, const uint8_t *bytes, size_t count, bool is_big_endian)
{
    for (size_t i = 0; i < count; i += 8) {
        sum.first += word_at(bytes + i, is_big_endian) + sum.second;
        sum.second += word_at(bytes + i + 4, is_big_endian) + sum.first;
    }
    return sum;
}

static bool is_sum(struct checksum sum, const uint8_t *bytes)
{
    return word_at(bytes, true) == sum.first && word_at(bytes + 4, true) == sum.second;
}

static bool has_salt(const struct log *log, const uint8_t *bytes)
{
    uint8_t differs = 0;
    for (int i = 0; i < SALT_BYTES; i++)
        differs |= (uint8_t)(bytes[i] ^ log->salt[i]);
    return differs == 0;
}

// false: it is no header of a log.
static bool take_header(struct log *log, const uint8_t *header)
{
    enum { MAGIC = 0x377f0682, PAGE_AT = 8, SALT_AT = 16, SUM_AT = 24 };
    uint32_t magic = word_at(header, true), page_bytes = word_at(header + PAGE_AT, true);
    log->is_big_endian = magic & 1;
    log->page_bytes = page_bytes;
    for (int i = 0; i < SALT_BYTES; i++)
        log->salt[i] = header[SALT_AT + i];
    log->sum = add((struct checksum){0, 0}, header, SUM_AT, log->is_big_endian);
    return (magic & ~1U) == MAGIC && page_bytes >= PAGE_BYTES_MIN && page_bytes <= PAGE_BYTES_MAX &&
           (page_bytes & (page_bytes - 1)) == 0 && is_sum(log->sum, header + SUM_AT);
}

// Is this frame the next right one? Then it is added to the sum.
static bool take_frame(struct log *log, const uint8_t *frame)
{
    enum { SALT_AT = 8, SUM_AT = 16 };
    struct checksum sum = add(log->sum, frame, SALT_AT, log->is_big_endian);
    sum = add(sum, frame + FRAME_HEADER_BYTES, log->page_bytes, log->is_big_endian);
    if (word_at(frame, true) == 0 || !has_salt(log, frame + SALT_AT) || !is_sum(sum, frame + SUM_AT))
        return false;
    log->sum = sum;
    return true;
}

// A frame of this log behind one that is not right: a crash leaves none, because frames are written in order. Frames with another salt
// are left from before the log began anew.
static const char *read_frames(struct log *log, off_t bytes)
{
    uint8_t frame[FRAME_HEADER_BYTES + PAGE_BYTES_MAX];
    size_t size = FRAME_HEADER_BYTES + log->page_bytes;
    bool is_right = true;
    for (off_t at = HEADER_BYTES; at + (off_t)size <= bytes; at += (off_t)size) {
        bool was_right = is_right;
        if (pread(log->fd, frame, size, at) != (ssize_t)size)
            return NULL;
        is_right = is_right && take_frame(log, frame);
        if (!was_right && has_salt(log, frame + 8))
            return DAMAGED;
    }
    return NULL;
}

static const char *inspect(int fd, bool has_log)
{
    uint8_t header[HEADER_BYTES];
    struct log log = {.fd = fd};
    struct stat status;
    if (fstat(fd, &status) < 0)
        return NULL;
    if (status.st_size <= HEADER_BYTES) // a broker writes a first transaction at its start
        return has_log ? GONE : NULL;
    if (pread(fd, header, sizeof header, 0) != sizeof header)
        return NULL;
    return take_header(&log, header) ? read_frames(&log, status.st_size) : DAMAGED;
}

// A file beside the state file, or -errno.
static int open_beside(const char *path, const char *suffix)
{
    char name[4096];
    int bytes = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (bytes < 0 || (size_t)bytes >= sizeof name)
        return -ENAMETOOLONG;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

// While SQLite changes the mark of the file it has a rollback journal, by which a crash then undoes the change.
static bool is_mark_changing(const char *path)
{
    static const uint8_t magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    uint8_t found[sizeof magic];
    int fd = open_beside(path, "-journal");
    if (fd < 0)
        return fd != -ENOENT;
    bool is_pending =
        pread(fd, found, sizeof found, 0) == sizeof found && memcmp(found, magic, sizeof magic) == 0;
    close(fd);
    return is_pending;
}

const char *state_log_inspect(const char *path, bool has_log)
{
    if (is_mark_changing(path))
        return NULL;
    int fd = open_beside(path, "-wal");
    if (fd < 0)
        return fd == -ENOENT && has_log ? GONE : NULL;
    const char *found = inspect(fd, has_log);
    close(fd);
    return found;
}
