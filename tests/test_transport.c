// SPDX-License-Identifier: Apache-2.0
// Transports as a loop drives them, without a loop running: what is gathered, what is kept, what is held.
#include "broker/net/transport.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { BUFFER_BYTES = 4096, SOURCE_BYTES = 8 << 20 };

struct fixture {
    struct turn turn;
    _Atomic int64_t bytes_received, bytes_sent;
    int ends[2]; // the transport's, and its peer's
    struct transport transport;
    int buffers;      // got and not put
    int source_holds; // references to `source`
    char *source;
    char shown[64]; // what on_bytes was shown last
    size_t shown_bytes, used_bytes;
    enum transport_leave leave; // the answer of may_send, if it is asked
    int asked;
    struct transport_rules gated;
};

static void *get_buffer(void *owner, enum transport_buffer kind, size_t bytes)
{
    (void)kind;
    ((struct fixture *)owner)->buffers++;
    return malloc(bytes);
}

static void put_buffer(void *owner, enum transport_buffer kind, void *buffer, size_t bytes)
{
    (void)kind, (void)bytes;
    ((struct fixture *)owner)->buffers--;
    free(buffer);
}

static struct transport_used on_bytes(struct transport *transport, const uint8_t *data, size_t size)
{
    struct fixture *fixture = transport->turn->owner;
    assert_in_range(size, 1, sizeof fixture->shown);
    memcpy(fixture->shown, data, size);
    fixture->shown_bytes = size;
    return (struct transport_used){.bytes = fixture->used_bytes, .needed = size + 1};
}

static void list_parts(const void *source, uint64_t form, struct transport_parts *parts)
{
    const struct fixture *fixture = source;
    parts->storage[0] = (uint8_t)form;
    parts->parts[0] = (struct iovec){parts->storage, 1};
    parts->parts[1] = (struct iovec){fixture->source, SOURCE_BYTES};
}

static void *hold_source(void *source)
{
    ((struct fixture *)source)->source_holds++;
    return source;
}

static void release_source(void *source)
{
    ((struct fixture *)source)->source_holds--;
}

static void on_settle(struct transport *transport)
{
    transport_flush(transport);
}

static const struct transport_rules rules = {
    .on_bytes = on_bytes,
    .on_settle = on_settle,
    .get_buffer = get_buffer,
    .put_buffer = put_buffer,
    .list_parts = list_parts,
    .hold_source = hold_source,
    .release_source = release_source,
    .read_bytes = BUFFER_BYTES,
    .write_bytes = BUFFER_BYTES,
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->turn.owner = fixture;
    fixture->turn.rules = &rules;
    fixture->turn.bytes_received = &fixture->bytes_received;
    fixture->turn.bytes_sent = &fixture->bytes_sent;
    const char *failed;
    assert_int_equal(turn_open(&fixture->turn, &failed), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fixture->ends), 0);
    assert_int_equal(transport_open(&fixture->transport, &fixture->turn, fixture->ends[0]), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    transport_close(&fixture->transport);
    close(fixture->ends[1]);
    turn_close(&fixture->turn);
    assert_int_equal(fixture->buffers, 0);
    assert_int_equal(fixture->source_holds, 0);
    free(fixture->source);
    free(fixture);
    return 0;
}

static void settle(struct fixture *fixture)
{
    struct transport *transport;
    while ((transport = turn_take_pending(&fixture->turn)))
        transport_settle(transport);
}

// Bytes that have arrived at the peer; they are taken.
static size_t arrived(const struct fixture *fixture)
{
    static char bytes[1 << 16];
    size_t sum = 0;
    ssize_t got;
    while ((got = recv(fixture->ends[1], bytes, sizeof bytes, 0)) > 0)
        sum += (size_t)got;
    return sum;
}

// A fan-out of one turn: every receiver gets its two packets by one write, however many receivers there are.
static void packets_of_a_turn_are_gathered_for_thousands_of_transports(void **state)
{
    struct fixture *fixture = *state;
    enum { RECEIVERS = 4000 };
    struct transport *transports = calloc(RECEIVERS, sizeof *transports);
    for (int i = 0; i < RECEIVERS; i++) {
        transports[i].fd = fixture->ends[0];
        transports[i].turn = &fixture->turn;
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < RECEIVERS; i++)
            transport_append(&transports[i], "x", 1);
    assert_int_equal(arrived(fixture), 0);
    assert_int_equal(fixture->buffers, RECEIVERS);
    for (int i = 0; i < RECEIVERS; i++) {
        turn_remove_pending(&transports[i]);
        transport_settle(&transports[i]);
        assert_int_equal(arrived(fixture), 2);
    }
    assert_int_equal(fixture->buffers, 0);
    free(transports);
}

static void bytes_that_are_not_used_are_kept_and_shown_again_with_the_rest(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(send(fixture->ends[1], "abc", 3, 0), 3);
    fixture->used_bytes = 1;
    transport_read(&fixture->transport);
    assert_int_equal(fixture->shown_bytes, 3);
    assert_int_equal(fixture->buffers, 1);
    assert_int_equal(send(fixture->ends[1], "de", 2, 0), 2);
    fixture->used_bytes = 4;
    transport_read(&fixture->transport);
    assert_int_equal(fixture->shown_bytes, 4);
    assert_memory_equal(fixture->shown, "bcde", 4);
    assert_int_equal(fixture->buffers, 0);
    assert_int_equal(fixture->bytes_received, 5);
}

static void a_source_is_held_until_the_socket_has_taken_all_of_it(void **state)
{
    struct fixture *fixture = *state;
    fixture->source = calloc(1, SOURCE_BYTES);
    assert_true(transport_send_source(&fixture->transport, fixture, 7, false));
    assert_true(fixture->transport.is_blocked);
    assert_int_equal(fixture->source_holds, 1);
    assert_false(transport_send_source(&fixture->transport, fixture, 7, false));
    size_t sum = 0;
    while (fixture->source_holds > 0) {
        sum += arrived(fixture);
        transport_on_event(&fixture->transport, EPOLLOUT);
        settle(fixture);
    }
    assert_int_equal(sum + arrived(fixture), 1 + SOURCE_BYTES);
    assert_false(fixture->transport.is_blocked);
}

static void a_broken_transport_drops_output_and_its_input_is_read_to_the_end(void **state)
{
    struct fixture *fixture = *state;
    transport_append(&fixture->transport, "x", 1);
    assert_int_equal(send(fixture->ends[1], "abc", 3, 0), 3);
    fixture->used_bytes = 3;
    transport_break(&fixture->transport);
    assert_true(transport_has_room(&fixture->transport, 2 * BUFFER_BYTES));
    transport_append(&fixture->transport, "y", 1);
    struct transport *broken = turn_take_pending(&fixture->turn);
    assert_ptr_equal(broken, &fixture->transport);
    transport_settle(broken);
    assert_memory_equal(fixture->shown, "abc", 3);
    assert_true(fixture->transport.is_dead);
    assert_int_equal(arrived(fixture), 0);
}

static enum transport_leave may_send(struct transport *transport)
{
    struct fixture *fixture = transport->turn->owner;
    fixture->asked++;
    return fixture->leave;
}

static void gate(struct fixture *fixture, enum transport_leave leave)
{
    fixture->gated = rules;
    fixture->gated.may_send = may_send;
    fixture->turn.rules = &fixture->gated;
    fixture->leave = leave;
}

static void output_that_may_not_leave_waits_for_the_end_of_the_turn(void **state)
{
    struct fixture *fixture = *state;
    gate(fixture, LEAVE_LATER);
    transport_append(&fixture->transport, "x", 1);
    assert_false(transport_flush(&fixture->transport));
    assert_false(transport_has_room(&fixture->transport, BUFFER_BYTES));
    assert_true(transport_can_send(&fixture->transport));
    assert_false(fixture->transport.is_blocked);
    assert_int_equal(arrived(fixture), 0);
    fixture->leave = LEAVE_NOW;
    settle(fixture);
    assert_int_equal(arrived(fixture), 1);
    int asked = fixture->asked;
    assert_true(transport_flush(&fixture->transport)); // nothing to send, nothing to ask
    assert_int_equal(fixture->asked, asked);
}

static void a_source_that_may_not_leave_is_held_as_a_whole(void **state)
{
    struct fixture *fixture = *state;
    gate(fixture, LEAVE_LATER);
    fixture->source = calloc(1, SOURCE_BYTES);
    assert_true(transport_send_source(&fixture->transport, fixture, 7, false));
    assert_int_equal(fixture->source_holds, 1);
    assert_int_equal(arrived(fixture), 0);
    fixture->leave = LEAVE_NOW;
    settle(fixture);
    size_t sum = 0;
    while (fixture->source_holds > 0) {
        sum += arrived(fixture);
        transport_on_event(&fixture->transport, EPOLLOUT);
        settle(fixture);
    }
    assert_int_equal(sum + arrived(fixture), 1 + SOURCE_BYTES);
}

static void output_that_may_never_leave_breaks_the_transport(void **state)
{
    struct fixture *fixture = *state;
    gate(fixture, LEAVE_NEVER);
    transport_append(&fixture->transport, "x", 1);
    assert_int_equal(send(fixture->ends[1], "abc", 3, 0), 3);
    fixture->used_bytes = 3;
    assert_false(transport_flush(&fixture->transport));
    assert_true(fixture->transport.is_broken);
    transport_settle(turn_take_pending(&fixture->turn));
    assert_memory_equal(fixture->shown, "abc", 3); // what came, counts
    assert_true(fixture->transport.is_dead);
    assert_int_equal(arrived(fixture), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packets_of_a_turn_are_gathered_for_thousands_of_transports),
        TEST(bytes_that_are_not_used_are_kept_and_shown_again_with_the_rest),
        TEST(a_source_is_held_until_the_socket_has_taken_all_of_it),
        TEST(a_broken_transport_drops_output_and_its_input_is_read_to_the_end),
        TEST(output_that_may_not_leave_waits_for_the_end_of_the_turn),
        TEST(a_source_that_may_not_leave_is_held_as_a_whole),
        TEST(output_that_may_never_leave_breaks_the_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
