// SPDX-License-Identifier: Apache-2.0
#include "broker/net/mailbox.h"

#include <errno.h>
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
    free(mailbox->few.mail);
    free(mailbox->few.spare);
    free(mailbox->bulk.mail);
    free(mailbox->bulk.spare);
    pthread_mutex_destroy(&mailbox->lock);
    close(mailbox->event_fd);
}

static int make_room(struct mail_list *list)
{
    if (list->count < list->capacity)
        return 0;
    size_t capacity = list->capacity ? list->capacity * 2 : 64;
    struct mail *mail = realloc(list->mail, capacity * sizeof *mail);
    if (!mail)
        return -ENOMEM;
    list->mail = mail;
    list->capacity = capacity;
    return 0;
}

int mailbox_post(struct mailbox *mailbox, const struct mail *mail, size_t limit)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mail_list *list = mail->is_bulk ? &mailbox->bulk : &mailbox->few;
    bool was_empty = list->count == 0;
    int code = list->count >= limit ? -EAGAIN : make_room(list);
    if (code == 0)
        list->mail[list->count++] = *mail;
    pthread_mutex_unlock(&mailbox->lock);
    if (code == 0 && was_empty)
        mailbox_notify(mailbox);
    return code;
}

static bool is_read(const struct mail_batch *batch)
{
    return batch->at == batch->count;
}

// Takes the whole list, and leaves the spare one in its place. Returns what is to be freed: NULL, or a spare one that is
// too large to be kept.
static struct mail *take(struct mail_list *list, struct mail_batch *batch)
{
    bool is_large = list->spare_capacity > KEPT_MAIL;
    struct mail *spare = list->spare, *taken = list->mail;
    size_t spare_capacity = list->spare_capacity;
    *batch = (struct mail_batch){taken, 0, list->count};
    list->spare = taken;
    list->spare_capacity = list->capacity;
    list->mail = is_large ? NULL : spare;
    list->capacity = is_large ? 0 : spare_capacity;
    list->count = 0;
    return is_large ? spare : NULL;
}

// The few have been read. Takes both lists at one moment: what is in the bulk then follows none of the few that are posted
// later.
static void take_both(struct mailbox *mailbox)
{
    uint64_t wakes;
    struct mail *unused, *unused_bulk = NULL;
    // Read before the lists are taken: mail that is posted in between notifies again.
    if (read(mailbox->event_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN)
        return;
    pthread_mutex_lock(&mailbox->lock);
    unused = take(&mailbox->few, &mailbox->taken);
    if (is_read(&mailbox->taken_bulk)) {
        unused_bulk = take(&mailbox->bulk, &mailbox->taken_bulk);
        mailbox->bulk_waits = mailbox->taken.count > 0;
    }
    mailbox->has_more_bulk = mailbox->bulk.count > 0;
    pthread_mutex_unlock(&mailbox->lock);
    free(unused);
    free(unused_bulk);
}

void mailbox_heed(struct mailbox *mailbox)
{
    mailbox->may_have_mail = true;
}

const struct mail *mailbox_next(struct mailbox *mailbox)
{
    struct mail_batch *taken = &mailbox->taken;
    if (is_read(taken)) {
        mailbox->bulk_waits = false;
        if (!mailbox->may_have_mail)
            return NULL;
        mailbox->may_have_mail = false;
        take_both(mailbox);
        if (is_read(taken))
            return NULL;
    }
    return &taken->mail[taken->at++];
}

const struct mail *mailbox_next_bulk(struct mailbox *mailbox)
{
    struct mail_batch *taken = &mailbox->taken_bulk;
    if (mailbox->bulk_waits || is_read(taken))
        return NULL;
    const struct mail *mail = &taken->mail[taken->at++];
    if (is_read(taken) && mailbox->has_more_bulk) // nobody notifies of it again
        mailbox->may_have_mail = true;
    return mail;
}

bool mailbox_has_mail(const struct mailbox *mailbox)
{
    return mailbox->may_have_mail || !is_read(&mailbox->taken) || !is_read(&mailbox->taken_bulk);
}

bool mailbox_is_empty(const struct mailbox *mailbox)
{
    return is_read(&mailbox->taken) && is_read(&mailbox->taken_bulk) && mailbox->few.count == 0 &&
           mailbox->bulk.count == 0;
}

size_t mailbox_capacity(struct mailbox *mailbox)
{
    const struct mail_list *few = &mailbox->few, *bulk = &mailbox->bulk;
    pthread_mutex_lock(&mailbox->lock);
    size_t capacity = few->capacity + few->spare_capacity + bulk->capacity + bulk->spare_capacity;
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
