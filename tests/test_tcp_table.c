// SPDX-License-Identifier: Apache-2.0
// Which sockets a process has, which addresses are of this host, and the table of sockets.
#include "base/tcp_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct tcp_end end_of(const char *address, int port)
{
    struct sockaddr_storage storage = {.ss_family = strchr(address, ':') ? AF_INET6 : AF_INET};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    void *to = storage.ss_family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr;
    assert_int_equal(inet_pton(storage.ss_family, address, to), 1);
    v4->sin_port = htons((uint16_t)port); // both have it at the same place
    return tcp_end_of(&storage);
}

static void test_a_mapped_address_is_the_ipv4_one(void **state)
{
    (void)state;
    struct tcp_end v4 = end_of("127.0.0.1", 1883), mapped = end_of("::ffff:127.0.0.1", 1883);
    struct tcp_end other = end_of("127.0.0.1", 1884);
    assert_true(tcp_end_equal(&v4, &mapped));
    assert_false(tcp_end_equal(&v4, &other));
    struct tcp_end any = end_of("0.0.0.0", 1), any6 = end_of("::", 1), some = end_of("::1", 1);
    assert_true(tcp_end_is_any(&any) && tcp_end_is_any(&any6));
    assert_false(tcp_end_is_any(&some) || tcp_end_is_any(&v4));
}

static void test_addresses_of_others_are_not_of_this_host(void **state)
{
    (void)state;
    static const char *const own[] = {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"};
    static const char *const others[] = {"203.0.113.77", "2001:db8::77", "::ffff:203.0.113.77"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        struct tcp_end end = end_of(own[i], 1);
        assert_true(tcp_end_is_local(&end, 0) && tcp_end_is_local(&end, getpid()));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct tcp_end end = end_of(others[i], 1);
        assert_false(tcp_end_is_local(&end, 0));
    }
}

struct sought {
    struct tcp_end local;
    uint64_t inode;
};

static bool find(void *context, const struct tcp_row *row)
{
    struct sought *sought = context;
    if (!tcp_end_equal(&row->local, &sought->local))
        return true;
    sought->inode = row->inode;
    return false;
}

static struct tcp_end bound(int fd)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    return tcp_end_of(&address);
}

static void test_a_process_has_its_sockets_and_the_table_has_them_by_state(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, bytes), 0);
    struct sought listens = {.local = bound(listener)}, connected = {.local = bound(client)};
    // The kernel gives the table in pieces: a row is missed when others before it go meanwhile.
    for (int i = 0; i < 1000 && (listens.inode == 0 || connected.inode == 0); i++) {
        assert_int_equal(tcp_table_read(0, TCP_LISTENING, find, &listens), 0);
        assert_int_equal(tcp_table_read(getpid(), TCP_CONNECTED, find, &connected), 0);
    }
    struct sought wrong = {.local = bound(client)};
    assert_int_equal(tcp_table_read(0, TCP_LISTENING, find, &wrong), 0);
    assert_int_equal(wrong.inode, 0);
    struct tcp_sockets sockets = {0};
    assert_int_equal(tcp_sockets_of(getpid(), &sockets), 0);
    assert_true(tcp_sockets_has(&sockets, listens.inode) && tcp_sockets_has(&sockets, connected.inode));
    assert_false(tcp_sockets_has(&sockets, 0));
    tcp_sockets_free(&sockets);
    assert_int_equal(tcp_sockets_of(0x7ffffff0, &sockets), -ENOENT);
    close(client);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mapped_address_is_the_ipv4_one),
        cmocka_unit_test(test_addresses_of_others_are_not_of_this_host),
        cmocka_unit_test(test_a_process_has_its_sockets_and_the_table_has_them_by_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
