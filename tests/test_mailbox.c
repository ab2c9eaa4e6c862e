// SPDX-License-Identifier: Apache-2.0
// Mailboxes: order, waking, and many senders.
#include "broker/net/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { SENDERS = 4, LETTERS = 5000 };

static bool is_awake(const struct mailbox *mailbox)
{
    struct pollfd wait = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static struct letter numbered(uintptr_t number)
{
    return (struct letter){.kind = LETTER_ADOPT, .connection = (struct connection *)number};
}

static void a_letter_wakes_and_taking_it_lets_sleep(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter *letters, letter = numbered(1);
    assert_int_equal(mailbox_open(&mailbox), 0);
    assert_false(is_awake(&mailbox));
    assert_int_equal(mailbox_post(&mailbox, &letter), 0);
    assert_true(is_awake(&mailbox));
    assert_int_equal(mailbox_take(&mailbox, &letters), 1);
    assert_false(is_awake(&mailbox));
    assert_int_equal(mailbox_take(&mailbox, &letters), 0);
    mailbox_wake(&mailbox);
    assert_true(is_awake(&mailbox));
    mailbox_close(&mailbox);
}

static void letters_come_in_the_order_of_posting(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter *letters;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (uintptr_t i = 0; i < LETTERS; i++) {
        struct letter letter = numbered(i);
        assert_int_equal(mailbox_post(&mailbox, &letter), 0);
    }
    assert_int_equal(mailbox_take(&mailbox, &letters), LETTERS);
    for (uintptr_t i = 0; i < LETTERS; i++)
        assert_int_equal((uintptr_t)letters[i].connection, i);
    mailbox_close(&mailbox);
}

static void a_full_mailbox_takes_no_messages_but_connections(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter *letters, message = {.kind = LETTER_DELIVER}, connection = numbered(1);
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (int i = 0; i < MAILBOX_MESSAGES_MAX; i++)
        assert_int_equal(mailbox_post(&mailbox, &message), 0);
    assert_int_equal(mailbox_post(&mailbox, &message), -EAGAIN);
    assert_int_equal(mailbox_post(&mailbox, &connection), 0);
    assert_int_equal(mailbox_take(&mailbox, &letters), MAILBOX_MESSAGES_MAX + 1);
    assert_int_equal(mailbox_post(&mailbox, &message), 0);
    assert_int_equal(mailbox_take(&mailbox, &letters), 1);
    mailbox_close(&mailbox);
}

struct sender {
    struct mailbox *mailbox;
    uintptr_t index;
};

static void *send_all(void *context)
{
    const struct sender *sender = context;
    for (uintptr_t i = 0; i < LETTERS; i++) {
        struct letter letter = numbered(sender->index * LETTERS + i);
        if (mailbox_post(sender->mailbox, &letter) < 0)
            return context;
    }
    return NULL;
}

static void no_letter_of_many_senders_is_lost_or_overtaken(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    uintptr_t next[SENDERS] = {0};
    for (uintptr_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (size_t taken = 0; taken < SENDERS * LETTERS;) {
        struct pollfd wait = {.fd = mailbox.event_fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        struct letter *letters;
        size_t count = mailbox_take(&mailbox, &letters);
        for (size_t i = 0; i < count; i++) {
            uintptr_t number = (uintptr_t)letters[i].connection;
            assert_int_equal(number % LETTERS, next[number / LETTERS]++);
        }
        taken += count;
    }
    for (int i = 0; i < SENDERS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    mailbox_close(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_wakes_and_taking_it_lets_sleep),
        cmocka_unit_test(letters_come_in_the_order_of_posting),
        cmocka_unit_test(a_full_mailbox_takes_no_messages_but_connections),
        cmocka_unit_test(no_letter_of_many_senders_is_lost_or_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
