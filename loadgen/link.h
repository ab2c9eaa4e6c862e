// SPDX-License-Identifier: Apache-2.0
// Frames over a stream socket: a kind, the number of a rank, and bytes. Nothing here waits: what the socket does not take
// is kept and sent later, and half a frame is kept until the rest comes. One thread.
//
//     link_open(&link, fd);
//     link_send(&link, kind, rank, bytes, count);
//     while ((code = link_next(&link, &frame)) > 0) ...frame.bytes, until the next call...
//     if (code < 0) ...the other end is gone...
#ifndef POOLMARK_LOADGEN_LINK_H
#define POOLMARK_LOADGEN_LINK_H

#include <stddef.h>
#include <stdint.h>

enum { LINK_FRAME_MAX = 64 << 20 }; // bytes of a frame

struct link_frame {
    int kind, rank;
    const void *bytes;
    size_t count;
};

struct link_buffer {
    char *bytes;
    size_t from, to, room; // what is in it: from `from` to before `to`
};

struct link {
    int fd;
    int failed; // the first -errno; 0: none
    struct link_buffer in, out;
};

void link_open(struct link *link, int fd); // `fd` becomes the link's
void link_close(struct link *link);

// `bytes` is copied; NULL with count 0 is allowed. 0, or the -errno that ended the link.
int link_send(struct link *link, int kind, int rank, const void *bytes, size_t count);
// Sends what is kept, as far as the socket takes it.
int link_flush(struct link *link);
// Flushes until everything is sent, the link has failed, or `limit_ns` have passed: -ETIMEDOUT.
int link_drain(struct link *link, int64_t limit_ns);

// 1: `frame` is the next, valid until the next call. 0: none is whole yet. -errno: the link has ended (-EPIPE: the other
// end was closed), and all frames before that were given.
int link_next(struct link *link, struct link_frame *frame);

// Waits until something can be read, what is kept can be sent, or `limit_ns` have passed.
void link_wait(const struct link *link, int64_t limit_ns);

#endif
