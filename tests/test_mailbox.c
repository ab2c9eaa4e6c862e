// SPDX-License-Identifier: Apache-2.0
// Mailboxes: order, the few before the bulk, waking, and many senders.
#include "broker/net/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SENDERS = 4, MAILS = 5000 };

static bool is_awake(const struct mailbox *mailbox)
{
    struct pollfd wait = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void post(struct mailbox *mailbox, struct mail mail)
{
    assert_int_equal(mailbox_post(mailbox, &mail, SIZE_MAX), 0);
}

static struct mail numbered(uintptr_t number)
{
    return (struct mail){.object = (void *)number};
}

static struct mail bulk(uintptr_t number)
{
    return (struct mail){.object = (void *)number, .is_bulk = 1};
}

// Each expects the next letter; 0: there is none.
static void expect(const struct mail *mail, uintptr_t number)
{
    assert_int_equal(mail ? (uintptr_t)mail->object : 0, number);
}

static void mail_wakes_and_reading_it_lets_sleep(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (int is_bulk = 0; is_bulk <= 1; is_bulk++) {
        assert_false(is_awake(&mailbox) || mailbox_has_mail(&mailbox));
        post(&mailbox, is_bulk ? bulk(1) : numbered(1));
        assert_true(is_awake(&mailbox) && !mailbox_is_empty(&mailbox));
        expect(mailbox_next(&mailbox), 0); // nobody has said that there is some
        mailbox_heed(&mailbox);
        assert_true(mailbox_has_mail(&mailbox));
        expect(mailbox_next(&mailbox), is_bulk ? 0 : 1);
        assert_false(is_awake(&mailbox));
        expect(mailbox_next_bulk(&mailbox), is_bulk ? 1 : 0);
        assert_true(mailbox_is_empty(&mailbox));
    }
    mailbox_notify(&mailbox);
    assert_true(is_awake(&mailbox));
    mailbox_close(&mailbox);
}

static void mail_comes_in_the_order_of_posting(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (uintptr_t i = 1; i <= MAILS; i++)
        post(&mailbox, numbered(i));
    mailbox_heed(&mailbox);
    for (uintptr_t i = 1; i <= MAILS; i++)
        expect(mailbox_next(&mailbox), i);
    expect(mailbox_next(&mailbox), 0);
    mailbox_close(&mailbox);
}

static void mail_with_a_limit_finds_a_full_list_and_other_mail_does_not(void **state)
{
    (void)state;
    enum { LIMIT = 100 };
    struct mailbox mailbox;
    struct mail few = numbered(1), many = bulk(2);
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(mailbox_post(&mailbox, &many, LIMIT), 0);
    assert_int_equal(mailbox_post(&mailbox, &many, LIMIT), -EAGAIN);
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(mailbox_post(&mailbox, &few, LIMIT), 0);
    assert_int_equal(mailbox_post(&mailbox, &few, LIMIT), -EAGAIN);
    post(&mailbox, few);
    mailbox_heed(&mailbox);
    for (int i = 0; i <= LIMIT; i++)
        expect(mailbox_next(&mailbox), 1);
    expect(mailbox_next(&mailbox), 0);
    assert_int_equal(mailbox_post(&mailbox, &many, LIMIT), 0);
    for (int i = 0; i < LIMIT; i++)
        expect(mailbox_next_bulk(&mailbox), 2);
    mailbox_heed(&mailbox);
    expect(mailbox_next(&mailbox), 0);
    expect(mailbox_next_bulk(&mailbox), 2);
    mailbox_close(&mailbox);
}

// However much bulk is unread, posted before or taken already.
static void the_few_do_not_wait_behind_the_bulk(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (uintptr_t i = 1; i <= MAILS; i++)
        post(&mailbox, bulk(i));
    post(&mailbox, numbered(MAILS + 1));
    mailbox_heed(&mailbox);
    expect(mailbox_next(&mailbox), MAILS + 1);
    expect(mailbox_next(&mailbox), 0);
    expect(mailbox_next_bulk(&mailbox), 1);
    post(&mailbox, numbered(MAILS + 2));
    mailbox_heed(&mailbox);
    expect(mailbox_next(&mailbox), MAILS + 2);
    for (uintptr_t i = 2; i <= MAILS; i++)
        expect(mailbox_next_bulk(&mailbox), i);
    expect(mailbox_next_bulk(&mailbox), 0);
    mailbox_close(&mailbox);
}

static void bulk_waits_for_the_few_that_were_posted_before_it(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    post(&mailbox, numbered(1));
    post(&mailbox, bulk(2));
    mailbox_heed(&mailbox);
    expect(mailbox_next(&mailbox), 1);
    post(&mailbox, numbered(3));
    post(&mailbox, bulk(4));
    expect(mailbox_next_bulk(&mailbox), 0); // until the loop has come to the end of the few
    mailbox_heed(&mailbox);
    expect(mailbox_next(&mailbox), 3);
    expect(mailbox_next_bulk(&mailbox), 2); // it was taken with the first alone
    assert_true(mailbox_has_mail(&mailbox));
    expect(mailbox_next_bulk(&mailbox), 0);
    expect(mailbox_next(&mailbox), 0);
    expect(mailbox_next_bulk(&mailbox), 4);
    mailbox_close(&mailbox);
}

// Letters of all kinds, read some at a time. A loop that heeds notifications alone reads each once, and each receiver's in their
// order.
static void each_receiver_has_its_mail_in_order(void **state)
{
    (void)state;
    enum { RECEIVERS = 5, STEPS = 20000 };
    struct mailbox mailbox;
    uintptr_t posted[RECEIVERS] = {0}, read[RECEIVERS] = {0}, bulk_to[RECEIVERS] = {0};
    unsigned seed = 1;
    assert_int_equal(mailbox_open(&mailbox), 0);
    for (int step = 0; step < STEPS || mailbox_has_mail(&mailbox) || is_awake(&mailbox); step++) {
        for (int i = rand_r(&seed) % 8; step < STEPS && i > 0; i--) {
            size_t to = (size_t)rand_r(&seed) % RECEIVERS;
            struct mail mail = {.object = (void *)posted[to], .receiver = (void *)to};
            bool is_bulk = rand_r(&seed) % 4 == 0 || bulk_to[to] > read[to];
            mail.is_bulk = is_bulk;
            post(&mailbox, mail);
            posted[to]++;
            if (is_bulk)
                bulk_to[to] = posted[to];
        }
        if (is_awake(&mailbox))
            mailbox_heed(&mailbox);
        int few = rand_r(&seed) % 8, many = rand_r(&seed) % 3;
        for (int i = 0; i < few + many; i++) {
            const struct mail *mail = i < few ? mailbox_next(&mailbox) : mailbox_next_bulk(&mailbox);
            if (mail)
                assert_int_equal((uintptr_t)mail->object, read[(size_t)mail->receiver]++);
        }
    }
    assert_true(mailbox_is_empty(&mailbox));
    assert_memory_equal(posted, read, sizeof posted);
    mailbox_close(&mailbox);
}

struct sender {
    struct mailbox *mailbox;
    uintptr_t index;
    _Atomic int unread_bulk;
};

static void *send_all(void *context)
{
    struct sender *sender = context;
    for (uintptr_t i = 0; i < MAILS; i++) {
        struct mail mail = numbered(sender->index * MAILS + i);
        mail.is_bulk = i % 16 == 3 || atomic_load(&sender->unread_bulk) > 0;
        if (mail.is_bulk)
            atomic_fetch_add(&sender->unread_bulk, 1);
        if (mailbox_post(sender->mailbox, &mail, SIZE_MAX) < 0)
            return context;
    }
    return NULL;
}

static size_t read_all(struct mailbox *mailbox, const struct mail *(*next)(struct mailbox *),
                       struct sender *senders, uintptr_t *expected)
{
    const struct mail *mail;
    size_t count = 0;
    for (; (mail = next(mailbox)); count++) {
        uintptr_t number = (uintptr_t)mail->object;
        assert_int_equal(number % MAILS, expected[number / MAILS]++);
        if (mail->is_bulk)
            atomic_fetch_sub(&senders[number / MAILS].unread_bulk, 1);
    }
    return count;
}

static void no_mail_of_many_senders_is_lost_or_overtaken(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_open(&mailbox), 0);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    uintptr_t expected[SENDERS] = {0};
    for (uintptr_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (size_t taken = 0; taken < SENDERS * MAILS;) {
        struct pollfd wait = {.fd = mailbox.event_fd, .events = POLLIN};
        if (!mailbox_has_mail(&mailbox)) {
            assert_int_equal(poll(&wait, 1, 60000), 1);
            mailbox_heed(&mailbox);
        }
        taken += read_all(&mailbox, mailbox_next, senders, expected);
        taken += read_all(&mailbox, mailbox_next_bulk, senders, expected);
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
        cmocka_unit_test(mail_wakes_and_reading_it_lets_sleep),
        cmocka_unit_test(mail_comes_in_the_order_of_posting),
        cmocka_unit_test(mail_with_a_limit_finds_a_full_list_and_other_mail_does_not),
        cmocka_unit_test(the_few_do_not_wait_behind_the_bulk),
        cmocka_unit_test(bulk_waits_for_the_few_that_were_posted_before_it),
        cmocka_unit_test(each_receiver_has_its_mail_in_order),
        cmocka_unit_test(no_mail_of_many_senders_is_lost_or_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
