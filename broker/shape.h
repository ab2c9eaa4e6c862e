// SPDX-License-Identifier: Apache-2.0
// A shape: the memory that the broker holds for one connection. Shapes imitate other servers.
//
//     classic                                        3072 B object, 4096 read, 4096 write, arena 6144, eager
//     classic-lazy                                   the same sizes, lazy
//     lean                                           the broker's natural object and arena, buffers lazy
//     object=512,read=2048,write=2048,arena=1KiB,lazy   sizes that are not named are as in lean
//
// eager: a connection takes object, buffers and arena at arrival and keeps them. They are zeroed when the
// pool makes them, so they are resident, as in a server that initializes them. With malloc that is at each
// get. lazy: the object comes at arrival, and the arena with the CONNECT. A read buffer is held while a
// packet is incomplete, a write buffer while output waits.
#ifndef POOLMARK_BROKER_SHAPE_H
#define POOLMARK_BROKER_SHAPE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
    size_t object_bytes; // the object begins with struct connection
    size_t read_bytes, write_bytes;
    size_t arena_bytes; // the arena begins with the session: client id, subscriptions' head, queue heads
    bool eager;
};

enum { SHAPE_BUFFER_MIN = 256, SHAPE_BYTES_MAX = 1 << 20 };

size_t shape_natural_object_bytes(void);
size_t shape_natural_arena_bytes(void);

// 0, or -EINVAL with the text in `err` when a word or a size is wrong; then `shape` is unchanged.
int shape_parse(const char *text, struct shape *shape, struct err *err) __attribute__((warn_unused_result));

// Writes "classic", "classic-lazy", "lean" or "object=...,read=...,write=...,arena=...,eager", which
// shape_parse takes. 100 bytes are enough.
char *shape_format(const struct shape *shape, char *text, size_t size);

// shape_known returns the name of the named shape `at`, from 0; NULL past the last. shape_connection_bytes
// returns the user memory of one connection of that shape, measured with strategy malloc.
const char *shape_known(int at, struct shape *shape);
size_t shape_connection_bytes(int at);

// The size of an object of the pool `buffers`: the larger of read and write.
size_t shape_buffer_bytes(const struct shape *shape);

#endif
