// SPDX-License-Identifier: Apache-2.0
// Between paho's threads and the worker's: a queue of events, and the notes that go with messages on their
// way. Any thread may push, get and put; one thread takes.
#ifndef POOLMARK_LOADGEN_ENGINE_PAHO_QUEUE_H
#define POOLMARK_LOADGEN_ENGINE_PAHO_QUEUE_H

#include "loadgen/engine.h"

struct paho_queue;

struct paho_sent { // goes with a PUBLISH through the library, as its context
    struct paho_client *client;
    int64_t intended_ns, sent_ns;
    struct paho_sent *next; // while it is free
};

int paho_queue_open(struct paho_queue **queue, struct err *err) __attribute__((warn_unused_result));
void paho_queue_close(struct paho_queue *queue);

// An event that finds no memory ends the process: a lost event would be a wrong count.
void paho_queue_push(struct paho_queue *queue, const struct engine_event *event);

// Waits for events until `until_ns` or a signal. What it gives is valid until the next call.
const struct engine_event *paho_queue_take(struct paho_queue *queue, int64_t until_ns, size_t *count);

struct paho_sent *paho_queue_get_sent(struct paho_queue *queue); // NULL: out of memory
void paho_queue_put_sent(struct paho_queue *queue, struct paho_sent *sent);

#endif
