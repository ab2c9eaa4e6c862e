// SPDX-License-Identifier: Apache-2.0
// Against a real broker: faults. Memory is refused while a client connects, the kernel forbids system calls,
// and there are more descriptors than select can watch.
//
// Run with --forbid CALL, this program starts the broker so that this system call fails with EPERM.
#include "tests/broker_process.h"
#include "tests/http_get.h"
#include "tests/many_clients.h"
#include "tests/raw_client.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

// A pool of messages with one object, which a retained message has: a will finds no memory.
static struct process *start_without_memory_for_wills(void)
{
    struct process *broker = process_start_broker("--pool", "messages=expand", "--initial", "messages=1",
                                                  "--max", "messages=1", "--overflow", "refuse", NULL);
    struct raw_client publisher;
    raw_connect_clean(&publisher, process_port(broker), "publisher");
    raw_publish_done(&publisher, "kept", "x", 1, true);
    raw_disconnect(&publisher);
    return broker;
}

static void expect_refused(uint16_t port, const char *id, bool is_clean)
{
    uint8_t data[256];
    struct raw_client client;
    struct mqtt_connect connect = {.client_id = mqtt_text_of(id),
                                   .clean_session = is_clean,
                                   .has_will = true,
                                   .will_topic = mqtt_text_of("w"),
                                   .will_message = {"gone", 4}};
    int bytes = mqtt_connect_encode(data, sizeof data, &connect);
    raw_open(&client, port);
    raw_send(&client, data, (size_t)bytes);
    RAW_EXPECT(&client, "\x20\x02\x00\x03");
    raw_expect_closed(&client);
    raw_close(&client);
}

static void a_client_refused_for_its_will_leaves_no_session(void **state)
{
    (void)state;
    struct process *broker = start_without_memory_for_wills();
    struct raw_client client;
    expect_refused(process_port(broker), "c", false);
    assert_false(raw_connect_kept(&client, process_port(broker), "c"));
    raw_disconnect(&client);
    assert_int_equal(process_stop(broker), 0);
}

static void a_client_refused_for_its_will_leaves_the_one_that_is_there_alone(void **state)
{
    (void)state;
    struct process *broker = start_without_memory_for_wills();
    struct raw_client kept;
    raw_connect_kept(&kept, process_port(broker), "c");
    expect_refused(process_port(broker), "c", false);
    expect_refused(process_port(broker), "c", true);
    raw_ping(&kept);
    raw_disconnect(&kept);
    assert_true(raw_connect_kept(&kept, process_port(broker), "c"));
    raw_disconnect(&kept);
    assert_int_equal(process_stop(broker), 0);
}

// The only session there may be is given up for the one that replaces it.
static void a_client_takes_its_own_place_in_a_pool_that_is_full(void **state)
{
    (void)state;
    struct process *broker =
        process_start_broker("--pool", "arenas=expand", "--max", "arenas=1", "--overflow", "refuse", NULL);
    struct raw_client first, second;
    raw_connect_clean(&first, process_port(broker), "c");
    raw_connect_clean(&second, process_port(broker), "c");
    raw_expect_closed(&first);
    raw_close(&first);
    raw_disconnect(&second);
    assert_int_equal(process_stop(broker), 0);
}

static void metrics_are_served_beside_two_thousand_connections(void **state)
{
    (void)state;
    enum { CLIENTS = 2000 };
    if (many_clients_limit() < CLIENTS + 200)
        skip();
    const char *const arguments[] = {"--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", NULL};
    struct process *broker = process_start("poolmark-broker", arguments);
    const char *line = process_wait_line(broker, "metrics ");
    assert_non_null(line);
    uint16_t metrics = (uint16_t)strtoul(strrchr(line, ':') + 1, NULL, 10);
    assert_non_null(process_wait_line(broker, "ready"));
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), CLIENTS, 32, "c");
    assert_int_equal(clients.accepted, CLIENTS);
    for (int i = 0; i < 3; i++) {
        char *page;
        assert_int_equal(http_request("GET", metrics, "/metrics", &page), 200);
        assert_non_null(strstr(page, "\npoolmark_broker_connections 2000\n"));
        free(page);
    }
    many_clients_ping(&clients);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

static long long descriptor_table_size(pid_t pid)
{
    char path[64], line[256];
    long long size = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) && sscanf(line, "FDSize: %lld", &size) != 1)
        ;
    fclose(file);
    return size;
}

// While it has threads, each growth of the table stalls the process for 10 to 30 ms.
static void the_table_of_descriptors_does_not_grow_while_clients_come(void **state)
{
    (void)state;
    enum { CLIENTS = 700 };
    struct process *broker = process_start_broker(NULL, NULL);
    long long at_start = descriptor_table_size(process_pid(broker));
    struct many_clients clients;
    many_clients_connect(&clients, process_port(broker), CLIENTS, 32, "c");
    assert_int_equal(clients.accepted, CLIENTS);
    assert_in_range(at_start, CLIENTS, 1 << 21);
    assert_int_equal(descriptor_table_size(process_pid(broker)), at_start);
    many_clients_close(&clients);
    assert_int_equal(process_stop(broker), 0);
}

static struct process *start_forbidding(const char *call)
{
    const char *const arguments[] = {"--forbid", call, "--listen", "127.0.0.1:0", NULL};
    return process_start("/proc/self/exe", arguments);
}

static void without_epoll_the_broker_ends_and_says_why(void **state)
{
    (void)state;
    struct process *broker = start_forbidding("epoll_wait");
    while (process_wait_line(broker, ""))
        ;
    assert_non_null(
        strstr(process_errors(broker), "cannot wait for events: epoll_wait: Operation not permitted"));
    assert_int_equal(process_wait(broker), 1);
}

// A listening socket that stays readable must not keep the loop busy: it is tried again at each tick. A busy
// loop fails tens of thousands of times a second.
static void when_accept_is_forbidden_the_broker_says_so_and_does_not_spin(void **state)
{
    (void)state;
    enum { LINES = 3, MOST_A_LINE = 5000 };
    struct process *broker = start_forbidding("accept4");
    assert_non_null(process_wait_line(broker, "ready"));
    struct raw_client client;
    raw_open(&client, process_port(broker));
    const char *errors;
    int lines;
    do {
        usleep(100000); // there is no event of a log; the bound is run-tests'
        errors = process_errors(broker);
        lines = 0;
        for (const char *at = errors; (at = strstr(at, " clients not let in: accept failed"));
             at++, lines++) {
            const char *number = at;
            while (number[-1] >= '0' && number[-1] <= '9')
                number--;
            assert_in_range(strtoul(number, NULL, 10), 1, MOST_A_LINE);
        }
    } while (lines < LINES);
    raw_close(&client);
    assert_int_equal(process_stop(broker), 0);
}

static int forbid(const char *call, char **arguments)
{
    const char *const names[] = {"epoll_wait", "accept4"};
    const uint32_t numbers[][2] = {{SYS_epoll_pwait,
#ifdef SYS_epoll_wait
                                    SYS_epoll_wait
#else
                                    SYS_epoll_pwait
#endif
                                   },
                                   {SYS_accept4, SYS_accept4}};
    int at = strcmp(call, names[1]) == 0;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[at][0], 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[at][1], 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    char path[4608];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0) {
        perror("seccomp");
        return 1;
    }
    process_path("poolmark-broker", path, sizeof path);
    arguments[0] = path;
    execv(path, arguments);
    perror(path);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--forbid") == 0)
        return forbid(argv[2], argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_refused_for_its_will_leaves_no_session),
        cmocka_unit_test(a_client_refused_for_its_will_leaves_the_one_that_is_there_alone),
        cmocka_unit_test(a_client_takes_its_own_place_in_a_pool_that_is_full),
        cmocka_unit_test(metrics_are_served_beside_two_thousand_connections),
        cmocka_unit_test(the_table_of_descriptors_does_not_grow_while_clients_come),
        cmocka_unit_test(without_epoll_the_broker_ends_and_says_why),
        cmocka_unit_test(when_accept_is_forbidden_the_broker_says_so_and_does_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
