// SPDX-License-Identifier: Apache-2.0
// Which limits are told, by made facts. tests/honesty/test_ceilings.py meets real ones.
#include "loadgen/ceilings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct ceiling_facts calm(void)
{
    return (struct ceiling_facts){.port_low = 32768,
                                  .port_high = 60999,
                                  .routes = 1,
                                  .worker_limit = 20000,
                                  .files = 1000,
                                  .file_max = 100000,
                                  .target_files = 60,
                                  .target_limit = 1024,
                                  .somaxconn = 4096,
                                  .tcp_pages = 10,
                                  .tcp_max_pages = 1000,
                                  .tracked = 0,
                                  .tracked_max = 65536,
                                  .pids_limit = 100,
                                  .backlog = -1,
                                  .slowest_connect_ns = 30000000,
                                  .memory_limit_bytes = -1,
                                  .quota_cores = 2};
}

// The facts show this limit and no other.
static void check(const struct ceiling_facts *facts, const char *name, const char *text, const char *mend)
{
    struct ceiling_note notes[CEILING_NOTES_MAX];
    assert_int_equal(ceilings_judge(facts, notes), 1);
    assert_string_equal(notes[0].name, name);
    if (!strstr(notes[0].text, text) || !strstr(notes[0].mend, mend))
        fail_msg("\"%s\" / \"%s\" has not \"%s\" / \"%s\"", notes[0].text, notes[0].mend, text, mend);
    assert_in_range(strlen(notes[0].text), 20, sizeof notes[0].text - 2);
    assert_in_range(strlen(notes[0].mend), 10, sizeof notes[0].mend - 2);
}

static void a_small_limit_that_did_not_show_is_not_told(void **state)
{
    (void)state;
    struct ceiling_note notes[CEILING_NOTES_MAX];
    struct ceiling_facts facts = calm();
    facts.tally.failed[REASON_TIMEOUT] = facts.tally.dropped[REASON_RESET] = 9;
    facts.somaxconn = 1;
    assert_int_equal(ceilings_judge(&facts, notes), 0);
}

static void clients_that_failed_tell_ports_descriptors_and_memory(void **state)
{
    (void)state;
    struct ceiling_facts facts = calm();
    facts.tally.failed[REASON_NO_PORT] = 5;
    check(&facts, "ports", "5 connects found no local port: there are 28232 (32768 to 60999)", "1024 65535");
    facts.ports_reserved = 28223;
    check(&facts, "ports", "there are 9 (32768 to 60999, 28223 of them reserved)", "ip_local_reserved_ports");
    facts.ports_reserved = 0;
    facts.port_low = 1024;
    facts.port_high = 65535;
    check(&facts, "ports", "64512", "more addresses");
    facts = calm();
    facts.tally.failed[REASON_UNTOLD] = 5;
    facts.tally.count[TALLY_CONNECTED] = 28232;
    check(&facts, "ports", "does not say why, while all local ports were in use", "1024 65535");
    facts.refused = true; // nobody listens, whatever the ports are
    struct ceiling_note none[CEILING_NOTES_MAX];
    assert_int_equal(ceilings_judge(&facts, none), 0);
    facts = calm();
    facts.tally.failed[REASON_NO_DESCRIPTOR] = 7;
    check(&facts, "descriptors", "a worker may have 20000", "ulimit -n");
    facts.files = 99000;
    check(&facts, "open_files", "99000 of 100000 open files", "fs.file-max=200000");
    facts = calm();
    facts.tally.failed[REASON_NO_MEMORY] = 7;
    check(&facts, "memory", "7 connects found no memory", "--engine raw");
    facts.memory_limit_bytes = 1 << 30;
    check(&facts, "memory", "7 connects", "1073741824");
    facts.raw = true; // it is there already
    struct ceiling_note one[CEILING_NOTES_MAX];
    assert_int_equal(ceilings_judge(&facts, one), 1);
    assert_null(strstr(one[0].mend, "raw"));
}

// Of a worker, or of the target: by its control group's limit, or because the machine had none left.
static void processes_of_the_run_that_were_killed_for_want_of_memory_are_told(void **state)
{
    (void)state;
    struct ceiling_facts facts = calm();
    facts.raw = true;
    facts.target_death = (struct memory_death){.killed = 1,
                                               .by_limit = true,
                                               .limit_bytes = 64 << 20,
                                               .file = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes"};
    check(&facts, "target_memory",
          "the kernel killed the target for want of memory: its control group may have 64.0 MiB",
          "echo 134217728 | sudo tee /sys/fs/cgroup/memory/a/memory.limit_in_bytes (--memory of");
    facts.target_death.unified = true;
    memcpy(facts.target_death.file, "/sys/fs/cgroup/a/memory.max", sizeof "/sys/fs/cgroup/a/memory.max");
    check(&facts, "target_memory", "(/sys/fs/cgroup/a/memory.max)", "MemoryMax= of a service");
    facts.worker_death = facts.target_death;
    facts.target_death.killed = 0;
    check(&facts, "memory", "killed a worker of the generator", "tee /sys/fs/cgroup/a/memory.max");
    facts.worker_death.by_limit = false;
    check(&facts, "memory", "the machine had none left", "poolmark host");
}

// What the kernel counts of others stopped nothing.
static void counters_of_the_host_accuse_no_run_that_nothing_stopped(void **state)
{
    (void)state;
    struct ceiling_note notes[CEILING_NOTES_MAX];
    struct ceiling_facts facts = calm();
    facts.overflows = 27;
    facts.slowest_connect_ns = 76000000;
    facts.tcp_pressures = facts.tcp_aborts = facts.pids_refused = 5;
    assert_int_equal(ceilings_judge(&facts, notes), 0);
}

static void a_table_that_was_full_when_clients_were_lost_is_told(void **state)
{
    (void)state;
    struct ceiling_facts facts = calm();
    facts.tally.failed[REASON_TIMEOUT] = 3;
    facts.target_files = 1000;
    check(&facts, "target_descriptors", "1000 of the 1024", "ulimit -n");
    facts.target_files = 1025;
    check(&facts, "target_descriptors", "1024 of the 1024", "ulimit -n");
    facts.target_files = 60;
    facts.tracked = 65500;
    check(&facts, "conntrack", "65500 connections, of 65536", "nf_conntrack_max=131072");
    facts.tally.failed[REASON_TIMEOUT] = 0;
    struct ceiling_note notes[CEILING_NOTES_MAX];
    assert_int_equal(ceilings_judge(&facts, notes), 0);
}

static void the_kernels_counters_tell_backlog_tcp_memory_processes_and_quota(void **state)
{
    (void)state;
    struct ceiling_facts facts = calm();
    facts.overflows = 12;
    facts.missed_syns = true;
    facts.slowest_connect_ns = 1040000000;
    check(&facts, "backlog", "12 handshakes met a full accept queue, and the longest connect took 1.04 s",
          "ss -ltn");
    facts.backlog = 4096;
    check(&facts, "backlog", "somaxconn bounds it to 4096", "net.core.somaxconn=8192");
    facts.backlog = 100;
    check(&facts, "backlog", "the target's holds 100, by its own backlog", "mosquitto: always 100");
    facts.backlog = facts.somaxconn = 16;
    check(&facts, "backlog", "somaxconn bounds it to 16", "net.core.somaxconn=4096");
    facts = calm();
    facts.harmed = true;
    facts.tcp_aborts = 2;
    check(&facts, "tcp_memory", "gave up 2 connections", "tcp_mem=\"1000 1500 2000\"");
    facts = calm();
    facts.harmed = true;
    facts.tcp_pages = 990;
    check(&facts, "tcp_memory", "990 pages, of 1000", "tcp_mem");
    facts.tcp_aborts = 7;
    facts.tcp_max_pages = -1; // in the network of a container
    check(&facts, "tcp_memory", "gave up 7 connections", "on the machine itself: sysctl net.ipv4.tcp_mem");
    facts = calm();
    facts.harmed = true;
    facts.pids_refused = 3;
    check(&facts, "processes", "refused 3 processes or threads: its pids.max is 100", "pids.max");
    facts = calm();
    facts.throttled_periods = 8;
    check(&facts, "cpu_quota", "2 processors stopped the generator in 8 periods", "raise cpu.cfs_quota_us");
    facts.quota_unified = true;
    check(&facts, "cpu_quota", "2 processors stopped the generator in 8 periods", "raise cpu.max");
}

static void all_limits_at_once_have_room(void **state)
{
    (void)state;
    struct ceiling_facts facts = calm();
    for (int i = 0; i < REASON_COUNT; i++)
        facts.tally.failed[i] = 1;
    facts.target_files = facts.target_limit;
    facts.overflows = facts.tcp_aborts = facts.pids_refused = facts.throttled_periods = 1;
    facts.missed_syns = facts.harmed = true;
    facts.target_death = facts.worker_death = (struct memory_death){.killed = 1};
    facts.tracked = facts.tracked_max;
    struct ceiling_note notes[CEILING_NOTES_MAX];
    assert_in_range(ceilings_judge(&facts, notes), 10, CEILING_NOTES_MAX);
}

// The most is kept, also when it is gone at the end.
static void the_watch_keeps_the_most(void **state)
{
    (void)state;
    struct ceilings ceilings;
    struct ceiling_facts facts;
    ceilings_start(&ceilings, NULL, 0);
    ceilings_look(&ceilings, 0, 1);
    ceilings.files = 1LL << 60;
    ceilings_look(&ceilings, 5, 2000000000);
    ceilings_read(&ceilings, &facts);
    assert_true(facts.files == 1LL << 60);
    assert_true(facts.port_low > 0 && facts.port_high > facts.port_low && facts.worker_limit > 0);
    assert_true(facts.target_files == -1 && facts.somaxconn > 0 && facts.tcp_max_pages > 0);
    char text[200];
    assert_non_null(strstr(ceilings_of_start(-ENOMEM, text, sizeof text), "memory is short"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_limit_that_did_not_show_is_not_told),
        cmocka_unit_test(clients_that_failed_tell_ports_descriptors_and_memory),
        cmocka_unit_test(processes_of_the_run_that_were_killed_for_want_of_memory_are_told),
        cmocka_unit_test(counters_of_the_host_accuse_no_run_that_nothing_stopped),
        cmocka_unit_test(a_table_that_was_full_when_clients_were_lost_is_told),
        cmocka_unit_test(the_kernels_counters_tell_backlog_tcp_memory_processes_and_quota),
        cmocka_unit_test(all_limits_at_once_have_room),
        cmocka_unit_test(the_watch_keeps_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
