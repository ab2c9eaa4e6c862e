// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engines/paho_queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct sent_chunk {
    struct sent_chunk *next;
    struct paho_sent sent[64];
};

struct batch {
    struct engine_event *events;
    size_t count, capacity;
};

struct paho_queue {
    pthread_mutex_t lock;  // guards all but `taken`
    struct batch incoming; // events pushed since the last take
    bool waiting;          // the taker sleeps and waits for a notification in `wake`
    struct paho_sent *free_sent;
    int64_t held_bytes; // of the messages whose notes are out
    struct sent_chunk *chunks;
    struct batch taken; // the taker's own
    int wake;           // eventfd
};

int paho_queue_open(struct paho_queue **queue_out, struct err *err)
{
    struct paho_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return err_set(err, -ENOMEM, "out of memory for the queue of events");
    queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake < 0) {
        int code = -errno;
        free(queue);
        return err_set(err, code, "cannot make an eventfd: %m");
    }
    pthread_mutex_init(&queue->lock, NULL);
    *queue_out = queue;
    return 0;
}

void paho_queue_close(struct paho_queue *queue)
{
    if (!queue)
        return;
    while (queue->chunks) {
        struct sent_chunk *chunk = queue->chunks;
        queue->chunks = chunk->next;
        free(chunk);
    }
    pthread_mutex_destroy(&queue->lock);
    close(queue->wake);
    free(queue->incoming.events);
    free(queue->taken.events);
    free(queue);
}

void paho_queue_push(struct paho_queue *queue, const struct engine_event *event)
{
    pthread_mutex_lock(&queue->lock);
    struct batch *batch = &queue->incoming;
    if (batch->count == batch->capacity) {
        size_t capacity = batch->capacity ? batch->capacity * 2 : 32;
        struct engine_event *events = realloc(batch->events, capacity * sizeof *events);
        if (!events)
            abort();
        batch->events = events;
        batch->capacity = capacity;
    }
    batch->events[batch->count++] = *event;
    bool wake = queue->waiting;
    queue->waiting = false;
    pthread_mutex_unlock(&queue->lock);
    if (wake && eventfd_write(queue->wake, 1) < 0)
        abort();
}

static void wait_for_word(struct paho_queue *queue, int64_t until_ns)
{
    sigset_t mask;
    engine_wait_mask(&mask);
    struct timespec left = engine_wait_time(until_ns);
    struct pollfd poll_wake = {.fd = queue->wake, .events = POLLIN};
    ppoll(&poll_wake, 1, &left, &mask);
    eventfd_t words;
    (void)!eventfd_read(queue->wake, &words);
}

const struct engine_event *paho_queue_take(struct paho_queue *queue, int64_t until_ns, size_t *count)
{
    pthread_mutex_lock(&queue->lock);
    if (queue->incoming.count == 0) {
        queue->waiting = true;
        pthread_mutex_unlock(&queue->lock);
        wait_for_word(queue, until_ns);
        pthread_mutex_lock(&queue->lock);
        queue->waiting = false;
    }
    struct batch empty = {.events = queue->taken.events, .capacity = queue->taken.capacity};
    queue->taken = queue->incoming;
    queue->incoming = empty;
    pthread_mutex_unlock(&queue->lock);
    *count = queue->taken.count;
    return queue->taken.events;
}

struct paho_sent *paho_queue_get_sent(struct paho_queue *queue, int64_t bytes)
{
    pthread_mutex_lock(&queue->lock);
    bool full = queue->held_bytes > 0 && queue->held_bytes + bytes > ENGINE_QUEUE_BYTES;
    if (!full && !queue->free_sent) {
        struct sent_chunk *chunk = calloc(1, sizeof *chunk);
        if (chunk) {
            chunk->next = queue->chunks;
            queue->chunks = chunk;
            for (size_t i = 0; i < sizeof chunk->sent / sizeof chunk->sent[0]; i++) {
                chunk->sent[i].next = queue->free_sent;
                queue->free_sent = &chunk->sent[i];
            }
        }
    }
    struct paho_sent *sent = full ? NULL : queue->free_sent;
    if (sent) {
        queue->free_sent = sent->next;
        queue->held_bytes += bytes;
        sent->bytes = bytes;
    }
    pthread_mutex_unlock(&queue->lock);
    return sent;
}

void paho_queue_put_sent(struct paho_queue *queue, struct paho_sent *sent)
{
    pthread_mutex_lock(&queue->lock);
    queue->held_bytes -= sent->bytes;
    sent->next = queue->free_sent;
    queue->free_sent = sent;
    pthread_mutex_unlock(&queue->lock);
}
