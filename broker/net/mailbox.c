// SPDX-License-Identifier: Apache-2.0
#include "broker/net/mailbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { KEPT_MAIL = 4096 }; // a list with a larger capacity is freed, not kept

int mailbox_open(struct mailbox *mailbox)
{
    memset(mailbox, 0, sizeof *mailbox);
    mailbox->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->event_fd < 0)
        return -errno;
    pthread_mutex_init(&mailbox->lock, NULL);
    return 0;
}

void mailbox_close(struct mailbox *mailbox)
{
    free(mailbox->mail);
    free(mailbox->spare);
    pthread_mutex_destroy(&mailbox->lock);
    close(mailbox->event_fd);
}

static int make_room(struct mailbox *mailbox)
{
    if (mailbox->count < mailbox->capacity)
        return 0;
    size_t capacity = mailbox->capacity ? mailbox->capacity * 2 : 64;
    struct mail *mail = realloc(mailbox->mail, capacity * sizeof *mail);
    if (!mail)
        return -ENOMEM;
    mailbox->mail = mail;
    mailbox->capacity = capacity;
    return 0;
}

int mailbox_post(struct mailbox *mailbox, const struct mail *mail, size_t limit)
{
    pthread_mutex_lock(&mailbox->lock);
    bool was_empty = mailbox->count == 0;
    int code = mailbox->count >= limit ? -EAGAIN : make_room(mailbox);
    if (code == 0)
        mailbox->mail[mailbox->count++] = *mail;
    pthread_mutex_unlock(&mailbox->lock);
    if (code == 0 && was_empty)
        mailbox_notify(mailbox);
    return code;
}

size_t mailbox_take(struct mailbox *mailbox, struct mail **mail)
{
    uint64_t wakes;
    // Read before the list is taken: mail that is posted in between notifies again.
    if (read(mailbox->event_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN)
        return 0;
    pthread_mutex_lock(&mailbox->lock);
    bool is_large = mailbox->spare_capacity > KEPT_MAIL;
    struct mail *taken = mailbox->mail, *unused = is_large ? mailbox->spare : NULL;
    size_t count = mailbox->count, capacity = mailbox->capacity;
    mailbox->mail = is_large ? NULL : mailbox->spare;
    mailbox->capacity = is_large ? 0 : mailbox->spare_capacity;
    mailbox->count = 0;
    mailbox->spare = taken;
    mailbox->spare_capacity = capacity;
    pthread_mutex_unlock(&mailbox->lock);
    free(unused);
    *mail = taken;
    return count;
}

size_t mailbox_capacity(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    size_t capacity = mailbox->capacity + mailbox->spare_capacity;
    pthread_mutex_unlock(&mailbox->lock);
    return capacity;
}

void mailbox_notify(struct mailbox *mailbox)
{
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(mailbox->event_fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
    // It fails when the counter is full: then the loop is notified already. After any other failure the loop
    // takes the mail at its next tick.
}
