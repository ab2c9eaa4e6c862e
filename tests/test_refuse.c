// SPDX-License-Identifier: Apache-2.0
// Refusals as the loop drives them, without a loop running: an event that is left over from the client that
// had the slot before does not cost the next one its answer.
#include "broker/mqtt/refuse.h"
#include "broker/net/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define CONNECT_C                                                                                            \
    "\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01"                                                           \
    "c"

struct fixture {
    struct loop *loop; // not started
    struct refusals refusals;
    pthread_rwlock_t descriptors;
    _Atomic int64_t bytes_received, bytes_sent;
};

static int set_up(void **state)
{
    static const struct loop_callbacks callbacks;
    static const struct transport_rules rules;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    pthread_rwlock_init(&fixture->descriptors, NULL);
    struct loop_options options = {.owner = fixture,
                                   .callbacks = &callbacks,
                                   .rules = &rules,
                                   .bytes_received = &fixture->bytes_received,
                                   .bytes_sent = &fixture->bytes_sent,
                                   .descriptors = &fixture->descriptors};
    assert_int_equal(loop_open(&fixture->loop, &options, &err), 0);
    refusals_open(&fixture->refusals, fixture->loop);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    refusals_close(&fixture->refusals);
    loop_close(fixture->loop);
    pthread_rwlock_destroy(&fixture->descriptors);
    free(fixture);
    return 0;
}

// One end is refused; gives the client's.
static int refused_client(struct fixture *fixture)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    refusals_add(&fixture->refusals, ends[0]);
    return ends[1];
}

static void expect_answer(int client)
{
    char answer[8];
    assert_int_equal(recv(client, answer, sizeof answer, 0), 4);
    assert_memory_equal(answer, "\x20\x02\x00\x03", 4);
}

static void test_a_refused_client_is_answered_and_closed_by_itself(void **state)
{
    struct fixture *fixture = *state;
    int client = refused_client(fixture);
    assert_int_equal(send(client, CONNECT_C, sizeof CONNECT_C - 1, 0), sizeof CONNECT_C - 1);
    refusals_on_watch(&fixture->refusals, &fixture->refusals.slots[0].watch);
    expect_answer(client);
    assert_int_equal(fixture->refusals.count, 1);
    assert_int_equal(fixture->bytes_received, sizeof CONNECT_C - 1);
    assert_int_equal(fixture->bytes_sent, 4);
    close(client);
    refusals_on_watch(&fixture->refusals, &fixture->refusals.slots[0].watch);
    assert_int_equal(fixture->refusals.count, 0);
}

// Within one turn: the first client hangs up, its slot goes to a second one, then the first one's event
// comes.
static void test_an_event_of_the_client_before_does_not_close_the_next_one(void **state)
{
    struct fixture *fixture = *state;
    int first = refused_client(fixture);
    close(first);
    refusals_on_watch(&fixture->refusals, &fixture->refusals.slots[0].watch);
    int second = refused_client(fixture);
    assert_int_equal(fixture->refusals.count, 1);
    refusals_on_watch(&fixture->refusals, &fixture->refusals.slots[0].watch);
    assert_int_equal(fixture->refusals.count, 1);
    assert_int_equal(send(second, CONNECT_C, sizeof CONNECT_C - 1, 0), sizeof CONNECT_C - 1);
    refusals_on_watch(&fixture->refusals, &fixture->refusals.slots[0].watch);
    expect_answer(second);
    close(second);
}

// The reserve turns over: without a spare descriptor a silent client has two ticks, otherwise five seconds.
static void test_silent_clients_do_not_hold_the_reserve(void **state)
{
    struct fixture *fixture = *state;
    struct refusals *refusals = &fixture->refusals;
    uint32_t *tick = &loop_turn(fixture->loop)->tick;
    char byte;
    int silent = refused_client(fixture), late = refused_client(fixture);
    *tick += REFUSAL_SHORT_TICKS;
    refusals_on_tick(refusals, false);
    assert_int_equal(refusals->count, 2);
    int younger = refused_client(fixture);
    assert_int_equal(send(late, CONNECT_C, sizeof CONNECT_C - 1, 0), sizeof CONNECT_C - 1);
    refusals_on_tick(refusals, true);
    assert_int_equal(refusals->count, 1);
    assert_int_equal(recv(silent, &byte, 1, 0), 0);
    expect_answer(late); // its CONNECT had come
    assert_int_equal(recv(younger, &byte, 1, 0), -1);
    *tick += REFUSAL_PATIENCE_S * TIMER_TICKS_PER_S;
    refusals_on_tick(refusals, false);
    assert_int_equal(refusals->count, 0);
    close(silent);
    close(late);
    close(younger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_refused_client_is_answered_and_closed_by_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_silent_clients_do_not_hold_the_reserve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_event_of_the_client_before_does_not_close_the_next_one,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
