// SPDX-License-Identifier: Apache-2.0
// Connections counted by address: the bound holds for each, and what was given back is free again.
#include "broker/mqtt/account.h"
#include "broker/mqtt/address_counts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct pair {
    int accepted, client;
};

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t bytes = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, bytes), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &bytes), 0);
    return fd;
}

static struct pair connect_from(const char *source, int listener, const struct sockaddr_in *to)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct pair pair = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(bind(pair.client, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(pair.client, (const struct sockaddr *)to, sizeof *to), 0);
    pair.accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair.accepted >= 0);
    return pair;
}

static void each_address_has_its_own_bound(void **state)
{
    (void)state;
    struct sockaddr_in address;
    struct account account;
    struct address_counts *counts;
    struct pair pairs[4];
    static const char *const sources[] = {"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2"};
    int listener = listen_on_loopback(&address);
    account_open(&account, 0);
    assert_int_equal(address_counts_open(&counts, &account, 2), 0);
    for (int i = 0; i < 4; i++) {
        pairs[i] = connect_from(sources[i], listener, &address);
        assert_int_equal(address_counts_take(counts, pairs[i].accepted), i != 2);
    }
    address_counts_give(counts, pairs[2].accepted); // was not taken: nothing is given back
    assert_false(address_counts_take(counts, pairs[2].accepted));
    address_counts_give(counts, pairs[0].accepted);
    assert_true(address_counts_take(counts, pairs[2].accepted));
    for (int i = 1; i < 4; i++)
        address_counts_give(counts, pairs[i].accepted);
    for (int i = 0; i < 4; i++) {
        close(pairs[i].accepted);
        close(pairs[i].client);
    }
    close(listener);
    address_counts_close(counts);
    assert_int_equal(account_sum(&account), 0);
}

static void without_memory_nobody_is_let_in(void **state)
{
    (void)state;
    struct sockaddr_in address;
    struct account account;
    struct address_counts *counts;
    int listener = listen_on_loopback(&address);
    account_open(&account, 100);
    assert_int_equal(address_counts_open(&counts, &account, 2), 0);
    struct pair pair = connect_from("127.0.0.1", listener, &address);
    assert_false(address_counts_take(counts, pair.accepted));
    close(pair.accepted);
    close(pair.client);
    close(listener);
    address_counts_close(counts);
}

static void key_of(const char *text, int family, uint8_t key[16])
{
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    void *place = family == AF_INET ? (void *)&((struct sockaddr_in *)&address)->sin_addr
                                    : (void *)&((struct sockaddr_in6 *)&address)->sin6_addr;
    assert_int_equal(inet_pton(family, text, place), 1);
    assert_true(address_counts_key(&address, key));
}

static void ipv6_counts_by_network_and_mapped_ipv4_as_ipv4(void **state)
{
    (void)state;
    uint8_t a[16], b[16];
    key_of("2001:db8::1", AF_INET6, a);
    key_of("2001:db8::ffff:2", AF_INET6, b);
    assert_memory_equal(a, b, 16);
    key_of("2001:db8:0:1::1", AF_INET6, b);
    assert_memory_not_equal(a, b, 16);
    key_of("192.0.2.7", AF_INET, a);
    key_of("::ffff:192.0.2.7", AF_INET6, b);
    assert_memory_equal(a, b, 16);
    struct sockaddr_storage other = {.ss_family = AF_UNIX};
    assert_false(address_counts_key(&other, a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_has_its_own_bound),
        cmocka_unit_test(without_memory_nobody_is_let_in),
        cmocka_unit_test(ipv6_counts_by_network_and_mapped_ipv4_as_ipv4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
