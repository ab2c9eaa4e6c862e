// SPDX-License-Identifier: Apache-2.0
// A loop's inbox for mail of other threads.
//
// Any thread posts. One mutex guards the list. A post to an empty list notifies the loop by an eventfd. The
// loop takes the whole list at once. The mail of one sender arrives in the order of posting.
//
//     struct mail mail = {.kind = 1, .object = object};
//     if (mailbox_post(&mailbox, &mail, SIZE_MAX) < 0) ...the caller still owns the object...
#ifndef POOLMARK_BROKER_NET_MAILBOX_H
#define POOLMARK_BROKER_NET_MAILBOX_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define MAIL_VALUE_MAX ((UINT64_C(1) << 56) - 1)

// Sender and receiver agree on the meaning of the fields. The receiver owns the objects that the mail names.
struct mail {
    uint64_t kind : 8; // MAIL_TRANSPORT is the loop's own (turn.h)
    uint64_t value : 56;
    void *object, *receiver;
};

struct mailbox {
    uint8_t source; // SOURCE_MAILBOX: the epoll events of event_fd point here
    int event_fd;
    pthread_mutex_t lock; // guards the rest
    struct mail *mail;
    size_t count, capacity;
    struct mail *spare; // the list of the last take; what it has is for the loop's thread only
    size_t spare_capacity;
};

int mailbox_open(struct mailbox *mailbox) __attribute__((warn_unused_result)); // 0 or -errno
void mailbox_close(struct mailbox *mailbox);                                   // must be empty

// 0; -ENOMEM; -EAGAIN when the list has `limit` entries or more. After a failure the caller still owns the
// objects that the mail names.
int mailbox_post(struct mailbox *mailbox, const struct mail *mail, size_t limit)
    __attribute__((warn_unused_result));

// Takes the whole list and returns its length. The list is valid until the next take. The loop's thread only.
size_t mailbox_take(struct mailbox *mailbox, struct mail **mail);

size_t mailbox_capacity(struct mailbox *mailbox); // how many letters its lists have room for

// Notifies the loop, with or without mail. The system may refuse that: the loop looks at each tick too.
void mailbox_notify(struct mailbox *mailbox);

#endif
