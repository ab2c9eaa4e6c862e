// SPDX-License-Identifier: Apache-2.0
// The connection between paho's threads and the worker's: a queue of events, and notes that accompany
// messages under way. Any thread may push, get and put; one thread takes.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_QUEUE_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_QUEUE_H

#include "loadgen/engine.h"

struct paho_queue;

struct paho_sent { // accompanies a PUBLISH through the library, as its context
    struct paho_client *client;
    int64_t intended_ns, sent_ns;
    int64_t bytes;          // of the message
    struct paho_sent *next; // while it is free
};

int paho_queue_open(struct paho_queue **queue, struct err *err) __attribute__((warn_unused_result));
void paho_queue_close(struct paho_queue *queue);

// Ends the process when out of memory: a lost event would be a wrong count.
void paho_queue_push(struct paho_queue *queue, const struct engine_event *event);

// Waits for events until `until_ns` or a signal. The result is valid until the next call.
const struct engine_event *paho_queue_take(struct paho_queue *queue, int64_t until_ns, size_t *count);

// Gets a note for a message of `bytes` bytes, which the library holds until the note is put back. NULL: out
// of memory, or the library holds too much already (ENGINE_QUEUE_BYTES).
struct paho_sent *paho_queue_get_sent(struct paho_queue *queue, int64_t bytes);
void paho_queue_put_sent(struct paho_queue *queue, struct paho_sent *sent);

#endif
