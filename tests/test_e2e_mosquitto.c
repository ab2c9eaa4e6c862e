// SPDX-License-Identifier: Apache-2.0
// Against a real broker: mosquitto_pub and mosquitto_sub, clients of another project.
//
// A test cannot see when the subscriber is ready. So messages are retained, or the subscriber keeps its
// session: it connects and leaves (-E: as soon as it has its SUBACK) before the test publishes.
#include "tests/broker_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    struct process *broker;
    char port[8];
};

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->broker = process_start_broker("--threads", "2", NULL);
    snprintf(fixture->port, sizeof fixture->port, "%u", process_port(fixture->broker));
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    int code = process_stop(fixture->broker);
    free(fixture);
    return code;
}

enum { ARGUMENTS_MAX = 32 };

static int run_list(struct fixture *fixture, char **output, const char *program, va_list rest)
{
    const char *arguments[ARGUMENTS_MAX] = {"-h", "127.0.0.1", "-V", "mqttv311", "-p", fixture->port};
    int count = 6;
    for (const char *one; (one = va_arg(rest, const char *));) {
        assert_true(count + 1 < ARGUMENTS_MAX);
        arguments[count++] = one;
    }
    return process_run(program, arguments, output);
}

__attribute__((sentinel)) static void publish(struct fixture *fixture, ...)
{
    va_list rest;
    va_start(rest, fixture);
    assert_int_equal(run_list(fixture, NULL, "mosquitto_pub", rest), 0);
    va_end(rest);
}

// What it printed; to be freed.
__attribute__((sentinel)) static char *subscribe(struct fixture *fixture, ...)
{
    va_list rest;
    char *output;
    va_start(rest, fixture);
    assert_int_equal(run_list(fixture, &output, "mosquitto_sub", rest), 0);
    va_end(rest);
    return output;
}

__attribute__((sentinel)) static void subscribe_and_leave(struct fixture *fixture, ...)
{
    va_list rest;
    va_start(rest, fixture);
    assert_int_equal(run_list(fixture, NULL, "mosquitto_sub", rest), 0);
    va_end(rest);
}

static void expect(char *output, const char *wanted)
{
    assert_string_equal(output, wanted);
    free(output);
}

static void test_a_retained_message_of_each_qos_is_received(void **state)
{
    struct fixture *fixture = *state;
    static const char *const levels[] = {"0", "1", "2"};
    for (int i = 0; i < 3; i++) {
        publish(fixture, "-t", "kept/x", "-m", levels[i], "-q", levels[i], "-r", NULL);
        char wanted[32], live[32];
        snprintf(wanted, sizeof wanted, "kept/x %s %s 1\n", levels[i], levels[i]);
        snprintf(live, sizeof live, "kept/x %s %s 0\n", levels[i], levels[i]);
        char *output = NULL;
        do { // at QoS 0 it may come while the subscriber is there already; then the next one gets it as retained
            free(output);
            output = subscribe(fixture, "-t", "kept/#", "-q", "2", "-C", "1", "-F", "%t %p %q %r", NULL);
        } while (i == 0 && strcmp(output, live) == 0);
        expect(output, wanted);
    }
    publish(fixture, "-t", "kept/x", "-n", "-r", NULL);
}

static void test_a_kept_session_gets_messages_of_qos_1_and_2_in_order(void **state)
{
    struct fixture *fixture = *state;
    subscribe_and_leave(fixture, "-i", "kept", "-c", "-t", "queue/#", "-q", "2", "-E", NULL);
    publish(fixture, "-t", "queue/a", "-m", "one", "-q", "1", NULL);
    publish(fixture, "-t", "queue/b", "-m", "two", "-q", "2", NULL);
    publish(fixture, "-t", "queue/a", "-m", "three", "-q", "2", NULL);
    expect(
        subscribe(fixture, "-i", "kept", "-c", "-t", "queue/#", "-q", "2", "-C", "3", "-F", "%t %p %q", NULL),
        "queue/a one 1\nqueue/b two 2\nqueue/a three 2\n");
}

static void test_a_thousand_lines_at_each_qos_arrive_in_order(void **state)
{
    enum { LINES = 1000 };
    struct fixture *fixture = *state;
    static const char *const levels[] = {"1", "2"};
    char path[] = "/tmp/poolmark-lines-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    char *wanted = calloc(LINES, 16);
    assert_non_null(wanted);
    for (int i = 0, used = 0; i < LINES; i++)
        used += snprintf(wanted + used, 16, "line %d\n", i);
    assert_int_equal(write(file, wanted, strlen(wanted)), strlen(wanted));
    close(file);
    for (int i = 0; i < 2; i++) {
        char id[16], command[512];
        snprintf(id, sizeof id, "lines%s", levels[i]);
        subscribe_and_leave(fixture, "-i", id, "-c", "-t", "lines", "-q", levels[i], "-E", NULL);
        snprintf(command, sizeof command, "mosquitto_pub -h 127.0.0.1 -p %s -t lines -q %s -l <%s",
                 fixture->port, levels[i], path);
        const char *const arguments[] = {"-c", command, NULL};
        assert_int_equal(process_run("sh", arguments, NULL), 0);
        expect(subscribe(fixture, "-i", id, "-c", "-t", "lines", "-q", levels[i], "-C", "1000", NULL),
               wanted);
    }
    unlink(path);
    free(wanted);
}

static void test_a_will_is_published_when_the_client_is_killed(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "-t", "dying/in", "-m", "here", "-r", NULL); // it prints that once it is subscribed
    subscribe_and_leave(fixture, "-i", "heir", "-c", "-t", "will/#", "-q", "1", "-E", NULL);
    const char *const arguments[] = {
        "-h",       "127.0.0.1",    "-p",         fixture->port,    "-i",   "dying",      "-t",
        "dying/in", "--will-topic", "will/dying", "--will-payload", "gone", "--will-qos", "1",
        NULL};
    struct process *dying = process_start("mosquitto_sub", arguments);
    assert_non_null(process_wait_line(dying, "here"));
    process_signal(dying, 9);
    assert_int_equal(process_wait(dying), -9);
    expect(
        subscribe(fixture, "-i", "heir", "-c", "-t", "will/#", "-q", "1", "-C", "1", "-F", "%t %p %q", NULL),
        "will/dying gone 1\n");
}

static void test_a_payload_of_a_megabyte_arrives_whole(void **state)
{
    enum { BYTES = 1 << 20 };
    struct fixture *fixture = *state;
    char path[] = "/tmp/poolmark-large-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    char *wanted = malloc(BYTES + 2);
    assert_non_null(wanted);
    for (int i = 0; i < BYTES; i++)
        wanted[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    memcpy(wanted + BYTES, "\n", 2);
    assert_int_equal(write(file, wanted, BYTES), BYTES);
    close(file);
    publish(fixture, "-t", "large", "-f", path, "-q", "1", "-r", NULL);
    expect(subscribe(fixture, "-t", "large", "-q", "1", "-C", "1", NULL), wanted);
    publish(fixture, "-t", "large", "-n", "-r", NULL);
    unlink(path);
    free(wanted);
}

static void test_other_protocol_versions_are_refused_and_said_so(void **state)
{
    struct fixture *fixture = *state;
    static const char *const versions[] = {"mqttv31", "mqttv5"};
    for (int i = 0; i < 2; i++) {
        const char *const arguments[] = {"-h", "127.0.0.1", "-p", fixture->port, "-V", versions[i],
                                         "-t", "x",         "-m", "x",           NULL};
        int code = process_run("mosquitto_pub", arguments, NULL);
        assert_int_not_equal(code, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_retained_message_of_each_qos_is_received),
        cmocka_unit_test(test_a_kept_session_gets_messages_of_qos_1_and_2_in_order),
        cmocka_unit_test(test_a_thousand_lines_at_each_qos_arrive_in_order),
        cmocka_unit_test(test_a_will_is_published_when_the_client_is_killed),
        cmocka_unit_test(test_a_payload_of_a_megabyte_arrives_whole),
        cmocka_unit_test(test_other_protocol_versions_are_refused_and_said_so),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
