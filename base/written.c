// SPDX-License-Identifier: Apache-2.0
// Size and inode are not enough. A writer keeps its offset: a file that was cut and then written on has its full
// size, with zeros in place of the first lines. So the bytes are read again.
#include "base/written.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static uint64_t sum_on(uint64_t sum, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

void written_add(struct written *written, const void *bytes, size_t count)
{
    written->sum = sum_on(written->sum, bytes, count);
    written->bytes += (int64_t)count;
}

static enum written_fate compare(const struct written *written, int fd)
{
    unsigned char bytes[16384];
    struct written there = WRITTEN_NONE;
    for (;;) {
        ssize_t n = pread(fd, bytes, sizeof bytes, (off_t)there.bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return WRITTEN_UNREADABLE;
        if (n == 0)
            break;
        written_add(&there, bytes, (size_t)n);
    }
    if (there.bytes != written->bytes)
        return there.bytes < written->bytes ? WRITTEN_SHORT : WRITTEN_LONG;
    return there.sum == written->sum ? WRITTEN_WHOLE : WRITTEN_ALTERED;
}

enum written_fate written_check(const struct written *written, int fd, const char *path)
{
    struct stat open, named;
    if (fstat(fd, &open) < 0)
        return WRITTEN_UNREADABLE;
    if (!S_ISREG(open.st_mode))
        return WRITTEN_NOT_KEPT;
    if (stat(path, &named) < 0)
        return errno == ENOENT || errno == ENOTDIR ? WRITTEN_REMOVED : WRITTEN_UNREADABLE;
    // The open descriptor holds the inode, so that no new file can have its number.
    if (open.st_dev != named.st_dev || open.st_ino != named.st_ino)
        return WRITTEN_REPLACED;
    if (open.st_nlink == 0) // a file system that still shows the name of a removed file
        return WRITTEN_REMOVED;
    return compare(written, fd);
}

const char *written_fate_text(enum written_fate fate)
{
    static const char *const texts[] = {
        [WRITTEN_WHOLE] = "is whole",
        [WRITTEN_REMOVED] = "was removed or renamed while the run wrote it",
        [WRITTEN_REPLACED] = "was replaced by another file while the run wrote it",
        [WRITTEN_SHORT] = "was truncated while the run wrote it",
        [WRITTEN_LONG] = "has more in it than the run wrote: another program wrote into it",
        [WRITTEN_ALTERED] = "was truncated or overwritten while the run wrote it",
        [WRITTEN_UNREADABLE] = "cannot be read again",
        [WRITTEN_NOT_KEPT] = "is not a regular file: the lines written into it are in no file",
    };
    return texts[fate];
}
