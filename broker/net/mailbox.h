// SPDX-License-Identifier: Apache-2.0
// What other loops hand to a loop: messages for its sessions, connections that it is to go on with.
//
// Any thread posts; one mutex guards the list, and an eventfd wakes the loop when the list was empty. The
// loop takes the whole list at once. Letters of one sender arrive in the order in which they were posted.
#ifndef POOLMARK_BROKER_NET_MAILBOX_H
#define POOLMARK_BROKER_NET_MAILBOX_H

#include "broker/mqtt/message.h"

#include <pthread.h>
#include <stddef.h>

struct connection;
struct session;

enum {
    MAILBOX_MESSAGES_MAX = 1 << 18
}; // past it messages are not taken: a loop that far behind needs no more work

enum letter_kind { LETTER_DELIVER, LETTER_ADOPT };

// A letter owns what it names: a reference of session and message, or the connection.
struct letter {
    enum letter_kind kind;
    uint8_t qos;
    struct message *message;
    union {
        struct session *session;
        struct connection *connection;
    };
};

struct mailbox {
    uint8_t source; // SOURCE_MAILBOX: epoll events of event_fd point here
    int event_fd;
    pthread_mutex_t lock; // guards the three below
    struct letter *letters;
    size_t count, capacity;
    struct letter *spare; // the loop's own: the list that it took before
    size_t spare_capacity;
};

int mailbox_open(struct mailbox *mailbox) __attribute__((warn_unused_result)); // 0 or -errno
void mailbox_close(struct mailbox *mailbox);                                   // must be empty

// 0; -ENOMEM; -EAGAIN when the list is full, which only a LETTER_DELIVER can meet. The letter is the caller's
// then.
int mailbox_post(struct mailbox *mailbox, const struct letter *letter) __attribute__((warn_unused_result));

// Takes everything; the list is the caller's until the next take. Returns how many. The loop's thread only.
size_t mailbox_take(struct mailbox *mailbox, struct letter **letters);

void mailbox_wake(struct mailbox *mailbox); // makes the loop look up, with or without a letter

#endif
