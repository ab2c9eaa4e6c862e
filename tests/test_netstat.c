// SPDX-License-Identifier: Apache-2.0
#include "base/netstat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_value_stands_below_its_name(void **state)
{
    (void)state;
    static const char text[] = "Tcp: RtoMin ActiveOpens RetransSegs\nTcp: 200 5 -1\n"
                               "TcpExt: TW ListenOverflows ListenDrops\nTcpExt: 9 77 78\n";
    assert_int_equal(netstat_value(text, "Tcp:", "ActiveOpens"), 5);
    assert_int_equal(netstat_value(text, "TcpExt:", "TW"), 9);
    assert_int_equal(netstat_value(text, "TcpExt:", "ListenDrops"), 78);
    assert_int_equal(netstat_value(text, "TcpExt:", "Listen"), -1);
    assert_int_equal(netstat_value(text, "Tcp:", "ListenDrops"), -1);
    assert_int_equal(netstat_value(text, "Udp:", "ListenDrops"), -1);
    assert_int_equal(netstat_value("Tcp: A", "Tcp:", "A"), -1);
    assert_int_equal(netstat_value("", "Tcp:", "A"), -1);
}

static void test_this_kernel_counts(void **state)
{
    (void)state;
    struct netstat now;
    netstat_read(&now, 0);
    for (int i = 0; i < NETSTAT_COUNT; i++)
        assert_true(now.count[i] >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_stands_below_its_name),
        cmocka_unit_test(test_this_kernel_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
