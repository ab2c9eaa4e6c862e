// SPDX-License-Identifier: Apache-2.0
// A loop's inbox for mail messages of other threads, in two lists. `few` has those of senders that send little, `bulk` those of
// senders that send much at once. The loop reads `few` first, so no message of a small sender waits behind thousands of a large one.
//
// Any thread posts. One mutex guards the lists. A post to an empty list notifies the loop by an eventfd. The loop takes a
// whole list at once.
//
// Order: bulk is read only after the few that were taken with it. Messages to one receiver are read in the order of posting if,
// while bulk for it is unread, all further messages to it are posted as bulk too. The senders have to see to that.
//
//     struct mail mail = {.kind = 1, .object = object};
//     if (mailbox_post(&mailbox, &mail, SIZE_MAX) < 0) ...the caller still owns the object...
//     ...the loop, when it was notified...
//     mailbox_heed(&mailbox);
//     while ((mail = mailbox_next(&mailbox))) ...
//     while ((mail = mailbox_next_bulk(&mailbox))) ...
#ifndef POOLMARK_BROKER_NET_MAILBOX_H
#define POOLMARK_BROKER_NET_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAIL_VALUE_MAX ((UINT64_C(1) << 56) - 1)

// Sender and receiver agree on the meaning of kind, value, and what is named. The receiver owns the objects that the mail
// names.
struct mail {
    uint64_t kind : 7;    // MAIL_TRANSPORT is the loop's own (turn.h)
    uint64_t is_bulk : 1; // of a sender that sends much at once
    uint64_t value : 56;
    void *object, *receiver;
};

struct mail_list {
    struct mail *mail;
    size_t count, capacity;
    struct mail *spare; // of the last take; what it has is for the loop's thread only
    size_t spare_capacity;
};

// What was taken of a list. Messages from `at` on are unread.
struct mail_batch {
    const struct mail *mail;
    size_t at, count;
};

struct mailbox {
    uint8_t source; // SOURCE_MAILBOX: the epoll events of event_fd point here
    int event_fd;
    pthread_mutex_t lock; // guards the lists
    struct mail_list few, bulk;
    // For the loop's thread only.
    struct mail_batch taken, taken_bulk;
    bool may_have_mail; // in its lists
    bool has_more_bulk; // in its list, which waits until what was taken is read
    bool bulk_waits;    // for the few that were taken with it
};

int mailbox_open(struct mailbox *mailbox) __attribute__((warn_unused_result)); // 0 or -errno
void mailbox_close(struct mailbox *mailbox);                                   // must be empty

// 0; -ENOMEM; -EAGAIN when the message's list has `limit` entries or more. After a failure the caller still owns the
// objects that the mail names.
int mailbox_post(struct mailbox *mailbox, const struct mail *mail, size_t limit)
    __attribute__((warn_unused_result));

// The loop's thread only. Call mailbox_heed when mail may have come, after a notification. Then mailbox_next returns the next
// of the few, and mailbox_next_bulk the next of the bulk. NULL: there is none, or it has to wait. A message is valid until the
// next call.
void mailbox_heed(struct mailbox *mailbox);
const struct mail *mailbox_next(struct mailbox *mailbox);
const struct mail *mailbox_next_bulk(struct mailbox *mailbox);
bool mailbox_has_mail(const struct mailbox *mailbox); // taken and unread, or there may be some

bool mailbox_is_empty(const struct mailbox *mailbox); // while no thread posts: nothing is unread

size_t mailbox_capacity(struct mailbox *mailbox); // how many messages its lists have room for. Any thread

// Notifies the loop, with or without mail. The system may refuse that: the loop looks at each tick too.
void mailbox_notify(struct mailbox *mailbox);

#endif
