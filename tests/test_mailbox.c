// SPDX-License-Identifier: Apache-2.0
// Mailboxes: order, waking, and many senders.
#include "broker/net/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { SENDERS = 4, MAILS = 5000 };

static bool is_awake(const struct mailbox *mailbox)
{
    struct pollfd wait = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static struct mail numbered(uintptr_t number)
{
    return (struct mail){.object = (void *)number};
}

static void mail_wakes_and_taking_it_lets_sleep(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct mail *taken, mail = numbered(1);
    assert_int_equal(mailbox_open(&mailbox), 0);
    assert_false(is_awake(&mailbox));
    assert_int_equal(mailbox_post(&mailbox, &mail, SIZE_MAX), 0);
    assert_true(is_awake(&mailbox));
    assert_int_equal(mailbox_take(&mailbox, &taken), 1);
    assert_false(is_awake(&mailbox));
    assert_int_equal(mailbox_take(&mailbox, &taken), 0);
    mailbox_notify(&mailbox);
    assert_true(is_awake(&mailbox));
    mailbox_close(&mailbox);
}

static void mail_comes_in_the_order_of_posting(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct mail *taken;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (uintptr_t i = 0; i < MAILS; i++) {
        struct mail mail = numbered(i);
        assert_int_equal(mailbox_post(&mailbox, &mail, SIZE_MAX), 0);
    }
    assert_int_equal(mailbox_take(&mailbox, &taken), MAILS);
    for (uintptr_t i = 0; i < MAILS; i++)
        assert_int_equal((uintptr_t)taken[i].object, i);
    mailbox_close(&mailbox);
}

static void mail_with_a_limit_finds_a_full_mailbox_and_other_mail_does_not(void **state)
{
    (void)state;
    enum { LIMIT = 100 };
    struct mailbox mailbox;
    struct mail *taken, mail = numbered(1);
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(mailbox_post(&mailbox, &mail, LIMIT), 0);
    assert_int_equal(mailbox_post(&mailbox, &mail, LIMIT), -EAGAIN);
    assert_int_equal(mailbox_post(&mailbox, &mail, SIZE_MAX), 0);
    assert_int_equal(mailbox_take(&mailbox, &taken), LIMIT + 1);
    assert_int_equal(mailbox_post(&mailbox, &mail, LIMIT), 0);
    assert_int_equal(mailbox_take(&mailbox, &taken), 1);
    mailbox_close(&mailbox);
}

struct sender {
    struct mailbox *mailbox;
    uintptr_t index;
};

static void *send_all(void *context)
{
    const struct sender *sender = context;
    for (uintptr_t i = 0; i < MAILS; i++) {
        struct mail mail = numbered(sender->index * MAILS + i);
        if (mailbox_post(sender->mailbox, &mail, SIZE_MAX) < 0)
            return context;
    }
    return NULL;
}

static void no_mail_of_many_senders_is_lost_or_overtaken(void **state)
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
    for (size_t taken = 0; taken < SENDERS * MAILS;) {
        struct pollfd wait = {.fd = mailbox.event_fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        struct mail *list;
        size_t count = mailbox_take(&mailbox, &list);
        for (size_t i = 0; i < count; i++) {
            uintptr_t number = (uintptr_t)list[i].object;
            assert_int_equal(number % MAILS, next[number / MAILS]++);
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
        cmocka_unit_test(mail_wakes_and_taking_it_lets_sleep),
        cmocka_unit_test(mail_comes_in_the_order_of_posting),
        cmocka_unit_test(mail_with_a_limit_finds_a_full_mailbox_and_other_mail_does_not),
        cmocka_unit_test(no_mail_of_many_senders_is_lost_or_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
