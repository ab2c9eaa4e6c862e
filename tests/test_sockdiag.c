// SPDX-License-Identifier: Apache-2.0
#include "base/sockdiag.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// Connections of other programs may have either port as well: one that ended stays in TIME-WAIT, and its port may be
// given again. So rows are counted by both.
struct seen {
    uint16_t port, client; // of the server, of the client
    int rows, established, at_server, listening;
    int64_t server_bytes;
    uint64_t client_inode;
    bool within; // each row has the server's port
};

static void visit(void *context, const struct sockdiag_row *row)
{
    struct seen *seen = context;
    bool at_server = row->local.port == seen->port && row->peer.port == seen->client;
    seen->within = seen->within && (row->local.port == seen->port || row->peer.port == seen->port);
    seen->listening += row->local.port == seen->port && row->peer.port == 0;
    if (!at_server && (row->peer.port != seen->port || row->local.port != seen->client))
        return;
    static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    assert_memory_equal(row->local.address, loopback, 16);
    seen->rows++;
    seen->established += row->established;
    seen->at_server += at_server;
    if (at_server && row->established)
        seen->server_bytes = row->bytes;
    else if (row->established)
        seen->client_inode = row->inode;
}

static struct seen look(uint16_t port, uint16_t client, uint16_t first, uint16_t last)
{
    struct seen seen = {.port = port, .client = client, .within = true};
    assert_int_equal(sockdiag_list((struct sockdiag_ports){first, last}, visit, &seen), 0);
    return seen;
}

static void test_both_ends_of_a_connection_are_listed(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       own = address;
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    assert_int_equal(bind(client, (struct sockaddr *)&own, bytes), 0);
    assert_int_equal(getsockname(client, (struct sockaddr *)&own, &bytes), 0);
    uint16_t port = ntohs(address.sin_port), from = ntohs(own.sin_port);
    struct seen seen = look(port, from, port, port);
    assert_int_equal(seen.rows, 0);
    assert_int_equal(seen.listening, 0); // one that listens is in no list
    assert_int_equal(connect(client, (struct sockaddr *)&address, bytes), 0);
    int server = accept(listener, NULL, NULL);
    char text[1000] = {0};
    assert_int_equal(send(client, text, sizeof text, 0), sizeof text);
    assert_int_equal(recv(server, text, sizeof text, MSG_WAITALL), sizeof text);

    seen = look(port, from, port, port);
    struct stat status;
    assert_int_equal(fstat(client, &status), 0);
    assert_true(seen.within);
    assert_int_equal(seen.rows, 2);
    assert_int_equal(seen.established, 2);
    assert_int_equal(seen.server_bytes, 1000);
    assert_int_equal(seen.client_inode, status.st_ino);
    seen = look(port, from, 0, 65535);
    assert_int_equal(seen.rows, 2);
    assert_true(sockdiag_count() >= 2);
    assert_int_equal(look(port, from, 1, 1).rows, 0);

    close(client);
    close(server);
    close(listener);
    seen = look(port, from, port, port);
    assert_int_equal(seen.established, 0);
}

static void visit_listener(void *context, const struct sockdiag_row *row)
{
    int64_t *sizes = context; // port, its backlog, and how many listen
    sizes[2]++;
    if (row->local.port == sizes[0])
        sizes[1] = row->backlog;
}

static void test_a_listener_has_the_backlog_that_is_in_force(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(listener, 7), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    int64_t sizes[3] = {ntohs(address.sin_port), -1, 0};
    assert_int_equal(sockdiag_listeners(visit_listener, sizes), 0);
    assert_int_equal(sizes[1], 7);
    close(listener);
}

struct ended {
    uint16_t server, client; // ports
    int ends;                // of the server, of that connection
    int64_t bytes;
    bool established;
};

static void visit_end(void *context, const struct sockdiag_row *row)
{
    struct ended *ended = context;
    if (row->local.port != ended->server || row->peer.port != ended->client)
        return; // the client's end, the listener, or another program's
    ended->ends++;
    ended->established = row->established;
    ended->bytes = row->bytes;
}

static int read_ends(int ends, struct ended *ended)
{
    int code = sockdiag_ends_read(ends, visit_end, ended);
    assert_true(code == 0 || code == -ENOBUFS);
    return code;
}

// A connection that carried some bytes and was reset by its client. Listens to `ends` from before.
static struct ended reset_one(int listener, const struct sockaddr_in *address, int ends)
{
    struct sockaddr_in own;
    socklen_t own_bytes = sizeof own;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(getsockname(client, (struct sockaddr *)&own, &own_bytes), 0);
    int server = accept(listener, NULL, NULL);
    char text[1000] = {0};
    assert_int_equal(send(client, text, sizeof text, 0), sizeof text);
    assert_int_equal(recv(server, text, sizeof text, MSG_WAITALL), sizeof text);
    struct ended ended = {.server = ntohs(address->sin_port), .client = ntohs(own.sin_port), .bytes = -1};
    (void)read_ends(ends, &ended);
    assert_int_equal(ended.ends, 0);
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(client);
    close(server);
    return ended;
}

// A connection that ends by a reset is in no list. Reads until its end is told. Where the kernel dropped events, since many
// connections of others ended at the time, it may have been among them: then another one is reset.
static void test_the_end_of_a_connection_that_was_reset_is_told_with_its_bytes(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    int ends = sockdiag_ends_open();
    assert_true(ends >= 0);
    struct ended ended = reset_one(listener, &address, ends);
    int64_t limit_ns = clock_now_ns() + 120 * NS_PER_S; // only a kernel that tells nothing reaches it
    while (ended.ends == 0) {
        struct pollfd wait = {.fd = ends, .events = POLLIN};
        assert_true(poll(&wait, 1, 1000) >= 0 && clock_now_ns() < limit_ns);
        if (read_ends(ends, &ended) == -ENOBUFS && ended.ends == 0)
            ended = reset_one(listener, &address, ends);
    }
    assert_int_equal(ended.bytes, 1000);
    assert_false(ended.established);
    assert_int_equal(look(ended.server, ended.client, ended.server, ended.server).rows, 0);
    close(listener);
    close(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ends_of_a_connection_are_listed),
        cmocka_unit_test(test_a_listener_has_the_backlog_that_is_in_force),
        cmocka_unit_test(test_the_end_of_a_connection_that_was_reset_is_told_with_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
