// SPDX-License-Identifier: Apache-2.0
// Refusals as the loop drives them, without a loop running: an event that is left over from the client that
// had the slot before does not cost the next one its answer.
#include "broker/broker.h"
#include "broker/net/loop.h"
#include "broker/mqtt/refuse.h"

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

static int set_up(void **state)
{
    struct loop *loop = calloc(1, sizeof *loop);
    // As broker.c does: its counters begin at a cache line.
    loop->broker = aligned_alloc(_Alignof(struct broker), sizeof *loop->broker);
    memset(loop->broker, 0, sizeof *loop->broker);
    loop->scratch = malloc(LOOP_SCRATCH_BYTES);
    pthread_rwlock_init(&loop->broker->descriptors, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(refusals_open(&loop->refusals, loop->epoll_fd), 0);
    *state = loop;
    return 0;
}

static int tear_down(void **state)
{
    struct loop *loop = *state;
    refusals_close(&loop->refusals);
    close(loop->epoll_fd);
    pthread_rwlock_destroy(&loop->broker->descriptors);
    free(loop->scratch);
    free(loop->broker);
    free(loop);
    return 0;
}

// One end is refused; gives the client's.
static int refused_client(struct loop *loop)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    refusals_add(loop, ends[0]);
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
    struct loop *loop = *state;
    int client = refused_client(loop);
    assert_int_equal(send(client, CONNECT_C, sizeof CONNECT_C - 1, 0), sizeof CONNECT_C - 1);
    refusals_on_event(loop, &loop->refusals.slots[0]);
    expect_answer(client);
    assert_int_equal(loop->refusals.count, 1);
    close(client);
    refusals_on_event(loop, &loop->refusals.slots[0]);
    assert_int_equal(loop->refusals.count, 0);
}

// Within one turn: the first client hangs up, its slot goes to a second one, then the first one's event
// comes.
static void test_an_event_of_the_client_before_does_not_close_the_next_one(void **state)
{
    struct loop *loop = *state;
    int first = refused_client(loop);
    close(first);
    refusals_on_event(loop, &loop->refusals.slots[0]);
    int second = refused_client(loop);
    assert_int_equal(loop->refusals.count, 1);
    refusals_on_event(loop, &loop->refusals.slots[0]);
    assert_int_equal(loop->refusals.count, 1);
    assert_int_equal(send(second, CONNECT_C, sizeof CONNECT_C - 1, 0), sizeof CONNECT_C - 1);
    refusals_on_event(loop, &loop->refusals.slots[0]);
    expect_answer(second);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_refused_client_is_answered_and_closed_by_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_event_of_the_client_before_does_not_close_the_next_one,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
