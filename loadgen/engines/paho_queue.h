// SPDX-License-Identifier: Apache-2.0
// Between paho's threads and the worker's: a queue of events, and the notes that go with messages on their
// way. Any thread may push, get and put; one thread takes.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_QUEUE_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_QUEUE_H

#include "loadgen/engine.h"

struct paho_queue;

struct paho_sent { // goes with a PUBLISH through the library, as its context
    struct paho_client *client;
    int64_t intended_ns, sent_ns;
    int64_t bytes;          // of the message
    struct paho_sent *next; // while it is free
};

int paho_queue_open(struct paho_queue **queue, struct err *err) __attribute__((warn_unused_result));
void paho_queue_close(struct paho_queue *queue);

// An event that finds no memory ends the process: a lost event would be a wrong count.
void paho_queue_push(struct paho_queue *queue, const struct engine_event *event);

// Waits for events until `until_ns` or a signal. What it gives is valid until the next call.
const struct engine_event *paho_queue_take(struct paho_queue *queue, int64_t until_ns, size_t *count);

// For a message of so many bytes, which the library then holds until the note is put back. NULL: out of
// memory, or it holds too many already (ENGINE_QUEUE_BYTES).
struct paho_sent *paho_queue_get_sent(struct paho_queue *queue, int64_t bytes);
void paho_queue_put_sent(struct paho_queue *queue, struct paho_sent *sent);

#endif
