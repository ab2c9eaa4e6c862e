// SPDX-License-Identifier: Apache-2.0
#include "loadgen/link.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { GUARD_S = 60 };

static void open_pair(struct link links[2])
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    link_open(&links[0], ends[0]);
    link_open(&links[1], ends[1]);
}

static void close_pair(struct link links[2])
{
    link_close(&links[0]);
    link_close(&links[1]);
}

// The next frame, while the other end sends on.
static struct link_frame next(struct link *link, struct link *other)
{
    struct link_frame frame;
    int code;
    int64_t until_ns = clock_now_ns() + GUARD_S * NS_PER_S;
    while ((code = link_next(link, &frame)) == 0) {
        assert_int_equal(link_flush(other), 0);
        if (clock_now_ns() > until_ns)
            fail_msg("no frame came");
    }
    assert_int_equal(code, 1);
    return frame;
}

static void frames_come_whole_and_in_order(void **state)
{
    (void)state;
    struct link links[2];
    open_pair(links);
    char text[40];
    for (int i = 0; i < 1000; i++) {
        int bytes = snprintf(text, sizeof text, "frame %d", i);
        assert_int_equal(link_send(&links[0], i % 7, i % 5, text, (size_t)bytes), 0);
    }
    for (int i = 0; i < 1000; i++) {
        struct link_frame frame = next(&links[1], &links[0]);
        int bytes = snprintf(text, sizeof text, "frame %d", i);
        assert_int_equal(frame.kind, i % 7);
        assert_int_equal(frame.rank, i % 5);
        assert_int_equal(frame.count, bytes);
        assert_memory_equal(frame.bytes, text, (size_t)bytes);
    }
    close_pair(links);
}

static void a_frame_larger_than_a_socket_holds_comes_whole(void **state)
{
    (void)state;
    enum { BYTES = 5 << 20 };
    struct link links[2];
    open_pair(links);
    unsigned char *bytes = malloc(BYTES);
    assert_non_null(bytes);
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    assert_int_equal(link_send(&links[0], 3, -1, bytes, BYTES), 0);
    assert_int_equal(link_send(&links[0], 4, 2, NULL, 0), 0);
    struct link_frame frame = next(&links[1], &links[0]);
    assert_int_equal(frame.rank, -1);
    assert_int_equal(frame.count, BYTES);
    assert_memory_equal(frame.bytes, bytes, BYTES);
    frame = next(&links[1], &links[0]);
    assert_int_equal(frame.kind, 4);
    assert_int_equal(frame.count, 0);
    free(bytes);
    close_pair(links);
}

static void the_end_comes_after_the_last_frame(void **state)
{
    (void)state;
    struct link links[2];
    struct link_frame frame;
    open_pair(links);
    assert_int_equal(link_send(&links[0], 1, 0, "last", 4), 0);
    assert_int_equal(link_drain(&links[0], NS_PER_S), 0);
    link_close(&links[0]);
    assert_int_equal(link_next(&links[1], &frame), 1);
    assert_int_equal(frame.count, 4);
    assert_int_equal(link_next(&links[1], &frame), -EPIPE);
    assert_int_equal(link_next(&links[1], &frame), -EPIPE);
    assert_int_equal(link_send(&links[1], 1, 0, "x", 1), -EPIPE);
    link_close(&links[1]);
}

static void a_head_that_says_too_much_ends_the_link(void **state)
{
    (void)state;
    int ends[2];
    struct link link;
    struct link_frame frame;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    link_open(&link, ends[0]);
    unsigned char head[8] = {0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0};
    assert_int_equal(write(ends[1], head, sizeof head), sizeof head);
    assert_int_equal(link_next(&link, &frame), -EPROTO);
    assert_int_equal(link_send(&link, 1, 0, "x", 1), -EPROTO);
    close(ends[1]);
    link_close(&link);
}

static void draining_to_an_end_that_does_not_read_gives_up(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    struct link links[2];
    open_pair(links);
    void *bytes = calloc(1, BYTES);
    assert_non_null(bytes);
    assert_int_equal(link_send(&links[0], 1, 0, bytes, BYTES), 0);
    assert_int_equal(link_drain(&links[0], 20 * NS_PER_MS), -ETIMEDOUT);
    free(bytes);
    close_pair(links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_whole_and_in_order),
        cmocka_unit_test(a_frame_larger_than_a_socket_holds_comes_whole),
        cmocka_unit_test(the_end_comes_after_the_last_frame),
        cmocka_unit_test(a_head_that_says_too_much_ends_the_link),
        cmocka_unit_test(draining_to_an_end_that_does_not_read_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
