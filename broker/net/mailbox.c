// SPDX-License-Identifier: Apache-2.0
#include "broker/net/mailbox.h"

#include "broker/mqtt/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { KEPT_LETTERS = 4096 }; // a list that grew longer gives its memory back

int mailbox_open(struct mailbox *mailbox)
{
    memset(mailbox, 0, sizeof *mailbox);
    mailbox->source = SOURCE_MAILBOX;
    mailbox->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->event_fd < 0)
        return -errno;
    pthread_mutex_init(&mailbox->lock, NULL);
    return 0;
}

void mailbox_close(struct mailbox *mailbox)
{
    free(mailbox->letters);
    free(mailbox->spare);
    pthread_mutex_destroy(&mailbox->lock);
    close(mailbox->event_fd);
}

static int make_room(struct mailbox *mailbox)
{
    if (mailbox->count < mailbox->capacity)
        return 0;
    size_t capacity = mailbox->capacity ? mailbox->capacity * 2 : 64;
    struct letter *letters = realloc(mailbox->letters, capacity * sizeof *letters);
    if (!letters)
        return -ENOMEM;
    mailbox->letters = letters;
    mailbox->capacity = capacity;
    return 0;
}

int mailbox_post(struct mailbox *mailbox, const struct letter *letter)
{
    pthread_mutex_lock(&mailbox->lock);
    bool was_empty = mailbox->count == 0;
    int code = letter->kind == LETTER_DELIVER && mailbox->count >= MAILBOX_MESSAGES_MAX ? -EAGAIN
                                                                                        : make_room(mailbox);
    if (code == 0)
        mailbox->letters[mailbox->count++] = *letter;
    pthread_mutex_unlock(&mailbox->lock);
    if (code == 0 && was_empty)
        mailbox_wake(mailbox);
    return code;
}

size_t mailbox_take(struct mailbox *mailbox, struct letter **letters)
{
    uint64_t wakes;
    // Read before the list is taken: a letter posted in between wakes us again.
    if (read(mailbox->event_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN)
        return 0;
    if (mailbox->spare_capacity > KEPT_LETTERS) {
        free(mailbox->spare);
        mailbox->spare = NULL;
        mailbox->spare_capacity = 0;
    }
    pthread_mutex_lock(&mailbox->lock);
    struct letter *taken = mailbox->letters;
    size_t count = mailbox->count, capacity = mailbox->capacity;
    mailbox->letters = mailbox->spare;
    mailbox->capacity = mailbox->spare_capacity;
    mailbox->count = 0;
    pthread_mutex_unlock(&mailbox->lock);
    mailbox->spare = taken;
    mailbox->spare_capacity = capacity;
    *letters = taken;
    return count;
}

void mailbox_wake(struct mailbox *mailbox)
{
    uint64_t one = 1;
    // It fails only when the counter is full, and then the loop is awake anyhow.
    ssize_t written = write(mailbox->event_fd, &one, sizeof one);
    (void)written;
}
