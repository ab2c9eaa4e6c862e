// SPDX-License-Identifier: Apache-2.0
// What became of a file while it was written: whether the path still leads to it, and whether it holds what
// was written. A writer that only looks at its own calls notices neither: a file that was removed or cut takes
// each write without an error.
//
//     struct written written = WRITTEN_NONE;
//     written_add(&written, line, bytes);                        // after each write that succeeded
//     enum written_fate fate = written_check(&written, fd, path); // before the descriptor is closed
//     if (fate != WRITTEN_WHOLE) printf("%s %s\n", path, written_fate_text(fate));
//
// Plain data without allocations, for one thread.
#ifndef POOLMARK_BASE_WRITTEN_H
#define POOLMARK_BASE_WRITTEN_H

#include <stddef.h>
#include <stdint.h>

struct written {
    int64_t bytes;
    uint64_t sum; // FNV-1a of these bytes: against accidents, not against a forger
};

#define WRITTEN_NONE ((struct written){.bytes = 0, .sum = UINT64_C(0xcbf29ce484222325)})

enum written_fate {
    WRITTEN_WHOLE,
    WRITTEN_REMOVED,    // no file has that path
    WRITTEN_REPLACED,   // another file has that path
    WRITTEN_SHORT,      // the file has fewer bytes
    WRITTEN_LONG,       // the file has more bytes
    WRITTEN_ALTERED,    // as many bytes, and other ones: so does a file that was cut and then written on
    WRITTEN_UNREADABLE, // it could not be read
    WRITTEN_NOT_KEPT,   // a device or a pipe
};

void written_add(struct written *written, const void *bytes, size_t count);

// Compares the file at `path`, which `fd` has open for reading, with what was written from its beginning. Reads
// all of it, takes no descriptor, and leaves the offset of `fd` alone.
enum written_fate written_check(const struct written *written, int fd, const char *path);

// A predicate to follow the name of the file: "was removed or renamed while the run wrote it". Static storage.
const char *written_fate_text(enum written_fate fate);

#endif
