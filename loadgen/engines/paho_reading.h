// SPDX-License-Identifier: Apache-2.0
// How fast the clients of a process take messages from the library. One thread of the library reads for all of them and
// calls them for each message: a client that does not return keeps that thread, and nothing is read for anybody. That
// is what a slow application of this library does to its process.
//
// The library may hold its lock meanwhile. So the thread that sets the pace must not call it while the pace is not
// ENGINE_READ_ALL.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_READING_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_READING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct paho_reading {
    pthread_mutex_t lock;  // guards next_ns, and changes of per_s
    pthread_cond_t change; // of per_s
    _Atomic int64_t
        per_s; // bytes of all clients together; also read without the lock, relaxed: a change is seen soon
    int64_t next_ns; // when the next message may be taken
};

void paho_reading_open(struct paho_reading *reading);
void paho_reading_close(struct paho_reading *reading);

void paho_reading_set(struct paho_reading *reading, int64_t bytes_per_s); // the caller's thread
bool paho_reading_is_slow(const struct paho_reading *reading);
// The library's thread, with each message: returns when a message of so many bytes may be taken.
void paho_reading_await(struct paho_reading *reading, int64_t bytes);

#endif
