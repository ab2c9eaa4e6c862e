// SPDX-License-Identifier: Apache-2.0
// Who the generator's clients are, as a broker sees it: user names and passwords, client identifiers, wills, topics,
// retained messages and their content. Both engines, against the reference broker and mosquitto.
#include "tests/load_run.h"
#include "tests/mosquitto_process.h"
#include "tests/raw_client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_not_in_record(const struct load_run *load, const char *text)
{
    char file[TEMP_PATH_SIZE];
    char *content = temp_file_read(temp_dir_file(load->record, "run.json", file));
    assert_non_null(content);
    if (strstr(content, text))
        fail_msg("the record has \"%s\"", text);
    free(content);
}

// --- users of mosquitto ------------------------------------------------------------------------------------

enum { USERS = 3 };

// A mosquitto that lets in u0 to u2, each with its own password.
static struct process *start_with_passwords(const char *dir, uint16_t *port)
{
    char file[TEMP_PATH_SIZE], settings[TEMP_PATH_SIZE + 100];
    write_text(temp_dir_file(dir, "passwords", file), "");
    for (int i = 0; i < USERS; i++) {
        char user[16], password[24];
        snprintf(user, sizeof user, "u%d", i);
        snprintf(password, sizeof password, "hush-%d", i);
        const char *arguments[] = {"-b", file, user, password, NULL};
        assert_int_equal(process_run("mosquitto_passwd", arguments, NULL), 0);
    }
    snprintf(settings, sizeof settings, "allow_anonymous false\npassword_file %s\nuser root\n", file);
    return mosquitto_start(dir, settings, port);
}

static void assert_seen(struct process *mosquitto, const char *text)
{
    if (!strstr(process_errors(mosquitto), text))
        fail_msg("mosquitto has not seen \"%s\"; it said:\n%s", text, process_errors(mosquitto));
}

static void check_users_of_a_file(struct process *mosquitto, uint16_t port, const char *dir,
                                  const char *engine)
{
    char file[TEMP_PATH_SIZE], id[32], seen[100];
    struct load_run load;
    write_text(temp_dir_file(dir, "users.csv", file),
               "username,password\nu0,hush-0\nu1,\"hush-1\"\nu2,hush-2\n");
    snprintf(id, sizeof id, "%s-%%i-%%u", engine);
    load_run_prepare(&load, port, "connect", engine);
    load_run_add(&load, "--connections", "6", "--users", file, "--client-id", id, "--start-number", "10",
                 "--keep-alive", "77", "--clean", "false", "--settle", "0", NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_true(load_run_metric(&load, "clients.connected") == 6);
    assert_not_in_record(&load, "hush");
    assert_not_in_record(&load, dir);
    load_run_finish(&load);
    for (int i = 10; i < 16; i++) {
        snprintf(seen, sizeof seen, " as %s-%d-u%d (p2, c0, k77, u'u%d')", engine, i, i % USERS, i % USERS);
        assert_seen(mosquitto, seen);
    }
}

static void check_a_wrong_password(uint16_t port, const char *engine)
{
    struct load_run load;
    load_run_prepare(&load, port, "connect", engine);
    load_run_add(&load, "--connections", "6", "--username", "u%i", "--password", "hush-1", "--settle", "0",
                 NULL);
    assert_int_equal(load_run_to_end(&load), 1);
    assert_true(load_run_metric(&load, "clients.connected") == 1); // u1
    assert_int_equal(
        load_run_reason(&load, "failed", "connack_4") + load_run_reason(&load, "failed", "connack_5"), 5);
    assert_not_in_record(&load, "hush");
    load_run_finish(&load);
    load_run_prepare(&load, port, "connect", engine);
    load_run_add(&load, "--connections", "3", "--username", "u%i", "--password", "hush-%i", "--settle", "0",
                 NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    load_run_finish(&load);
}

static void check_publishes_as_users(uint16_t port, const char *dir, const char *engine)
{
    char file[TEMP_PATH_SIZE];
    struct load_run load;
    load_run_prepare(&load, port, "publish", engine);
    load_run_add(&load, "--pairs", "5", "--users", temp_dir_file(dir, "users.csv", file), "--topic",
                 "plant/%u/%c", "--qos", "1", "--publish-rate", "500", "--duration", "200ms", "--warmup", "0",
                 NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_true(load_run_metric(&load, "messages.received") == 100);
    load_run_finish(&load);
}

static void test_mosquitto_lets_in_who_has_the_password(void **state)
{
    (void)state;
    if (!mosquitto_is_installed())
        skip();
    char dir[TEMP_PATH_SIZE];
    uint16_t port;
    temp_dir_make(dir);
    struct process *mosquitto = start_with_passwords(dir, &port);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        check_users_of_a_file(mosquitto, port, dir, load_run_engines[i]);
        check_a_wrong_password(port, load_run_engines[i]);
        check_publishes_as_users(port, dir, load_run_engines[i]);
    }
    process_stop(mosquitto);
    temp_dir_remove(dir);
}

// --- the reference broker ----------------------------------------------------------------------------------

static void assert_hidden(pid_t pid, const char *secret)
{
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t bytes = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_true(bytes > 0);
    assert_null(memmem(text, bytes, secret, strlen(secret)));
}

// The first second that has so many connections.
static void await_connections(struct process *loadgen, int connections)
{
    char wanted[48];
    snprintf(wanted, sizeof wanted, "\"connections\":%d,", connections);
    const char *line;
    do {
        line = process_wait_line(loadgen, "{");
        assert_non_null(line);
    } while (!strstr(line, wanted));
}

// The process is killed: the broker finds connections that ended without a DISCONNECT [MQTT-3.1.2-8].
static void check_wills(uint16_t port, const char *engine)
{
    char target[64];
    struct raw_client heir, late;
    snprintf(target, sizeof target, "mqtt://127.0.0.1:%u", (unsigned)port);
    raw_connect_clean(&heir, port, "heir");
    assert_int_equal(raw_subscribe(&heir, "will/#", 1), 1);
    const char *arguments[] = {"connect",     "--target",      target,     "--engine",
                               engine,        "--connections", "2",        "--client-id",
                               "dying-%i",    "--username",    "u",        "--password",
                               "s3cret",      "--will-topic",  "will/%i",  "--will-payload",
                               "%c has gone", "--will-qos",    "1",        "--will-retain",
                               "--hold",      "60s",           "--settle", "0",
                               "--json",      "--quiet",       NULL};
    struct process *loadgen = process_start("poolmark-loadgen", arguments);
    await_connections(loadgen, 2);
    assert_hidden(process_pid(loadgen), "s3cret");
    process_signal(loadgen, SIGKILL);
    assert_int_equal(process_wait(loadgen), -SIGKILL);
    bool seen[2] = {false};
    for (int i = 0; i < 2; i++) {
        struct mqtt_publish publish = raw_receive_publish(&heir);
        int number = publish.topic.data[publish.topic.bytes - 1] - '0';
        char topic[16], payload[32];
        assert_in_range(number, 0, 1);
        snprintf(topic, sizeof topic, "will/%d", number);
        snprintf(payload, sizeof payload, "dying-%d has gone", number);
        assert_true(mqtt_text_equal(publish.topic, mqtt_text_of(topic)));
        assert_int_equal(publish.payload.bytes, strlen(payload));
        assert_memory_equal(publish.payload.data, payload, strlen(payload));
        assert_int_equal(publish.qos, 1);
        assert_false(seen[number]);
        seen[number] = true;
        raw_ack(&heir, MQTT_PUBACK, publish.packet_id);
    }
    raw_close(&heir);
    raw_connect_clean(&late, port, "late");
    assert_int_equal(raw_subscribe(&late, "will/0", 0), 0);
    assert_true(raw_receive_publish(&late).retain);
    raw_close(&late);
}

static void test_a_client_that_is_killed_leaves_its_will(void **state)
{
    (void)state;
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        check_wills(process_port(broker), load_run_engines[i]);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void test_names_of_60_000_bytes_connect(void **state)
{
    (void)state;
    enum { BYTES = 60000 };
    char *text = malloc(BYTES + 4);
    assert_non_null(text);
    memset(text, 'n', BYTES);
    memcpy(text + BYTES, "%i", 3);
    struct process *broker = process_start_broker(NULL, NULL);
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "connect", load_run_engines[i]);
        load_run_add(&load, "--connections", "3", "--client-id", text, "--username", text, "--password", text,
                     "--will-topic", text, "--will-payload", text, "--topic", text, "--subscribe", "--settle",
                     "0", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_true(load_run_metric(&load, "clients.connected") == 3);
        assert_true(load_run_metric(&load, "clients.dropped") == 0);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
    free(text);
}

static const struct {
    const char *option, *value, *file; // `file`: the content of the file that `value` names
} payloads[] = {
    {"--payload", "32..2000", NULL},
    {"--payload", "normal:500,200", NULL},
    {"--payload", "exponential:300", NULL},
    {"--payload-file", NULL, "{\"celsius\": 21.5}\n"},
    {"--payload-template", NULL,
     "{\"id\":\"%UNIQUE%\",\"n\":%SEQUENCE%,\"of\":%PUBLISHER%,\"at\":%TIMESTAMPMS%}\n"},
};
enum { PAYLOADS = sizeof payloads / sizeof payloads[0] };

static void test_messages_of_every_kind_arrive_whole(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    char dir[TEMP_PATH_SIZE], file[TEMP_PATH_SIZE];
    temp_dir_make(dir);
    temp_dir_file(dir, "payload", file);
    for (int i = 0; i < PAYLOADS * LOAD_ENGINES; i++) {
        int kind = i / LOAD_ENGINES;
        struct load_run load;
        if (payloads[kind].file)
            write_text(file, payloads[kind].file);
        load_run_prepare(&load, process_port(broker), "publish", load_run_engines[i % LOAD_ENGINES]);
        load_run_add(&load, payloads[kind].option, payloads[kind].value ? payloads[kind].value : file,
                     "--pairs", "3", "--qos", "1", "--publish-rate", "1000", "--duration", "200ms",
                     "--warmup", "0", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_string_equal(load_run_status(&load), "complete");
        assert_true(load_run_metric(&load, "messages.received") == 200);
        assert_not_in_record(&load, dir);
        load_run_finish(&load);
    }
    temp_dir_remove(dir);
    assert_int_equal(process_stop(broker), 0);
}

// Topics that were given, in each pattern, and what stays with the broker.
static void check_given_topics(uint16_t port, const char *engine, const char *pattern, const char *topic,
                               int received)
{
    struct load_run load;
    load_run_prepare(&load, port, "publish", engine);
    load_run_add(&load, "--topic", topic, "--retain", "--publish-rate", "1000", "--duration", "120ms",
                 "--warmup", "0", "--workers", "2", NULL);
    if (strcmp(pattern, "pairs") == 0)
        load_run_add(&load, "--pairs", "4", NULL);
    else
        load_run_add(&load, "--pattern", pattern, "--publishers", "6", "--subscribers", "4", NULL);
    assert_int_equal(load_run_to_end(&load), 0);
    assert_string_equal(load_run_status(&load), "complete");
    assert_true(load_run_metric(&load, "messages.sent") == 120);
    assert_true(load_run_metric(&load, "messages.received") == received);
    load_run_finish(&load);
}

static void assert_retained(uint16_t port, const char *filter, int count)
{
    struct raw_client client;
    raw_connect_clean(&client, port, "looks");
    assert_int_equal(raw_subscribe(&client, filter, 0), 0);
    for (int i = 0; i < count; i++)
        assert_true(raw_receive_publish(&client).retain);
    raw_ping(&client); // nothing else came before its answer
    raw_close(&client);
}

static void test_topics_that_were_given_are_published_to_and_retained(void **state)
{
    (void)state;
    for (int i = 0; i < LOAD_ENGINES; i++) {
        struct process *broker = process_start_broker(NULL, NULL);
        uint16_t port = process_port(broker);
        check_given_topics(port, load_run_engines[i], "pairs", "a/%i/%c", 120);
        assert_retained(port, "a/#", 4);
        check_given_topics(port, load_run_engines[i], "fan-in", "b/%i/x/%rand_9", 480);
        assert_retained(port, "b/#", 6);
        check_given_topics(port, load_run_engines[i], "fan-in", "c", 480);
        assert_retained(port, "c", 1);
        check_given_topics(port, load_run_engines[i], "fan-out", "d/%i", 480);
        assert_retained(port, "d/0", 1);
        check_given_topics(port, load_run_engines[i], "topics:2", "%i/e", 240);
        assert_retained(port, "+/e", 2);
        assert_int_equal(process_stop(broker), 0);
    }
}

static void test_a_scenario_of_the_open_suite_runs_scaled(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    static const char *const names[] = {"p2p-1K-1K-1K-1K", "fanout-1-1K-1-1K", "fanin-1K-5-1K-1K"};
    for (int i = 0; i < 3; i++) {
        struct load_run load;
        load_run_prepare(&load, process_port(broker), "--open", "raw");
        // The scenario's place is the first.
        load.arguments[0] = "--quiet";
        load_run_add(&load, "--open", names[i], "--scale", "0.02", "--duration", "1s", "--warmup", "0", NULL);
        assert_int_equal(load_run_to_end(&load), 0);
        assert_string_equal(load_run_status(&load), "complete");
        assert_true(load_run_metric(&load, "messages.lost") == 0);
        assert_true(load_run_metric(&load, "messages.received") > 0);
        load_run_finish(&load);
    }
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mosquitto_lets_in_who_has_the_password),
        cmocka_unit_test(test_a_client_that_is_killed_leaves_its_will),
        cmocka_unit_test(test_names_of_60_000_bytes_connect),
        cmocka_unit_test(test_messages_of_every_kind_arrive_whole),
        cmocka_unit_test(test_topics_that_were_given_are_published_to_and_retained),
        cmocka_unit_test(test_a_scenario_of_the_open_suite_runs_scaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
