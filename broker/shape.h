// SPDX-License-Identifier: Apache-2.0
// A shape: what one connection makes the broker hold, so that the habits of any server can be imitated.
//
//     classic                                        3072 B object, 4096 read, 4096 write, arena 6144, eager
//     classic-lazy                                   the same sizes, lazy
//     lean                                           the broker's natural object and arena, buffers lazy
//     object=512,read=2048,write=2048,arena=1KiB,lazy   what is not named is as in lean
//
// eager: all four come when the connection arrives, and stay; they are zeroed when they become objects of the
// pool (so resident, as in a server that sets them up), which for malloc is each time. lazy: the object comes
// at arrival, the arena with the CONNECT, a read buffer while a packet is half there, a write buffer while
// there is something to send.
#ifndef POOLMARK_BROKER_SHAPE_H
#define POOLMARK_BROKER_SHAPE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
    size_t object_bytes; // begins with the struct connection
    size_t read_bytes, write_bytes;
    size_t arena_bytes; // begins with the session: client id, subscriptions' head, queue heads
    bool eager;
};

enum { SHAPE_BUFFER_MIN = 256, SHAPE_BYTES_MAX = 1 << 20 };

size_t shape_natural_object_bytes(void);
size_t shape_natural_arena_bytes(void);

// -EINVAL with the text in `err` when a word, a size or its bounds are wrong; `shape` is unchanged then.
int shape_parse(const char *text, struct shape *shape, struct err *err) __attribute__((warn_unused_result));

// "classic", "classic-lazy", "lean" or "object=...,read=...,write=...,arena=...,eager", as shape_parse takes
// it. 100 bytes hold it.
char *shape_format(const struct shape *shape, char *text, size_t size);

// The shapes with a name, from 0; NULL past the last. What a connection of one takes of user memory in all,
// measured with strategy malloc.
const char *shape_known(int at, struct shape *shape);
size_t shape_connection_bytes(int at);

// What an object of the pool `buffers` has to hold.
size_t shape_buffer_bytes(const struct shape *shape);

#endif
