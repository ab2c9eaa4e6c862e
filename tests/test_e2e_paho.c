// SPDX-License-Identifier: Apache-2.0
// Against a real broker: 200 clients of paho.mqtt.c's asynchronous library, which the load generator uses.
//
// Paho calls back on its own threads. So all events are counted under one lock, and a test waits for counts.
#include "tests/broker_process.h"

#include <MQTTAsync.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { CLIENTS = 200, FAN_OUT_MESSAGES = 20 };

struct fixture;

struct client {
    MQTTAsync handle;
    struct fixture *fixture;
    int index;
    char topic[32];
    int received; // guarded by the fixture's lock, as all below
    int received_qos[3];
    bool session_present; // as the last CONNACK said
};

struct fixture {
    struct process *broker;
    char uri[64];
    pthread_mutex_t lock; // guards the counts here and in the clients
    pthread_cond_t changed;
    int connected, subscribed, published, disconnected, received, failed, lost;
    struct client clients[CLIENTS];
};

static void count(struct fixture *fixture, int *which)
{
    pthread_mutex_lock(&fixture->lock);
    ++*which;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

// Waits until `*which` has reached `wanted`; fails when something failed, or after PROCESS_GUARD_S.
static void wait_for(struct fixture *fixture, const int *which, int wanted)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PROCESS_GUARD_S;
    int late = 0;
    pthread_mutex_lock(&fixture->lock);
    while (*which < wanted && fixture->failed == 0 && fixture->lost == 0 && late == 0)
        late = pthread_cond_timedwait(&fixture->changed, &fixture->lock, &until);
    int reached = *which, failed = fixture->failed, lost = fixture->lost;
    pthread_mutex_unlock(&fixture->lock);
    assert_int_equal(failed, 0);
    assert_int_equal(lost, 0);
    assert_int_equal(reached, wanted);
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    struct client *client = context;
    pthread_mutex_lock(&client->fixture->lock);
    client->session_present = data->alt.connect.sessionPresent;
    pthread_mutex_unlock(&client->fixture->lock);
    count(client->fixture, &client->fixture->connected);
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    (void)data;
    struct client *client = context;
    count(client->fixture, &client->fixture->subscribed);
}

static void on_published(void *context, MQTTAsync_successData *data)
{
    (void)data;
    struct client *client = context;
    count(client->fixture, &client->fixture->published);
}

static void on_disconnected(void *context, MQTTAsync_successData *data)
{
    (void)data;
    struct client *client = context;
    count(client->fixture, &client->fixture->disconnected);
}

static void on_failed(void *context, MQTTAsync_failureData *data)
{
    struct client *client = context;
    fprintf(stderr, "client %d: code %d, %s\n", client->index, data->code,
            data->message ? data->message : "");
    count(client->fixture, &client->fixture->failed);
}

static void on_lost(void *context, char *cause)
{
    struct client *client = context;
    fprintf(stderr, "client %d: connection lost, %s\n", client->index, cause ? cause : "");
    count(client->fixture, &client->fixture->lost);
}

static int on_message(void *context, char *topic, int topic_bytes, MQTTAsync_message *message)
{
    (void)topic_bytes;
    struct client *client = context;
    struct fixture *fixture = client->fixture;
    pthread_mutex_lock(&fixture->lock);
    client->received++;
    client->received_qos[message->qos]++;
    pthread_mutex_unlock(&fixture->lock);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    count(fixture, &fixture->received);
    return 1;
}

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    fixture->broker = process_start_broker("--threads", "2", NULL);
    snprintf(fixture->uri, sizeof fixture->uri, "tcp://127.0.0.1:%u", process_port(fixture->broker));
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    int code = process_stop(fixture->broker);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->lock);
    free(fixture);
    return code;
}

static void make_client(struct fixture *fixture, int index)
{
    struct client *client = &fixture->clients[index];
    char id[32];
    *client = (struct client){.fixture = fixture, .index = index};
    snprintf(id, sizeof id, "paho-%d", index);
    snprintf(client->topic, sizeof client->topic, "own/%d", index);
    assert_int_equal(MQTTAsync_create(&client->handle, fixture->uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL),
                     0);
    assert_int_equal(MQTTAsync_setCallbacks(client->handle, client, on_lost, on_message, NULL), 0);
}

static void connect_client(struct client *client, bool clean)
{
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.cleansession = clean;
    options.keepAliveInterval = 60;
    options.connectTimeout = PROCESS_GUARD_S;
    options.onSuccess = on_connected;
    options.onFailure = on_failed;
    options.context = client;
    assert_int_equal(MQTTAsync_connect(client->handle, &options), 0);
}

static void subscribe_client(struct client *client, const char *topic, int qos)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onSuccess = on_subscribed;
    options.onFailure = on_failed;
    options.context = client;
    assert_int_equal(MQTTAsync_subscribe(client->handle, topic, qos, &options), 0);
}

static void publish_client(struct client *client, const char *topic, int qos)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onSuccess = on_published;
    options.onFailure = on_failed;
    options.context = client;
    assert_int_equal(MQTTAsync_send(client->handle, topic, 7, "payload", qos, 0, &options), 0);
}

static void disconnect_client(struct client *client)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    options.timeout = PROCESS_GUARD_S * 1000;
    options.onSuccess = on_disconnected;
    options.onFailure = on_failed;
    options.context = client;
    assert_int_equal(MQTTAsync_disconnect(client->handle, &options), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = *state;
    fixture->connected = fixture->subscribed = fixture->published = fixture->disconnected = 0;
    fixture->received = fixture->failed = fixture->lost = 0;
    for (int i = 0; i < CLIENTS; i++)
        make_client(fixture, i);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CLIENTS; i++)
        MQTTAsync_destroy(&fixture->clients[i].handle);
    return 0;
}

// All connected, and subscribed to `topic` or to one of their own.
static void connect_and_subscribe_all(struct fixture *fixture, const char *topic, int qos)
{
    for (int i = 0; i < CLIENTS; i++)
        connect_client(&fixture->clients[i], true);
    wait_for(fixture, &fixture->connected, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        subscribe_client(&fixture->clients[i], topic ? topic : fixture->clients[i].topic, qos);
    wait_for(fixture, &fixture->subscribed, CLIENTS);
}

static void disconnect_all(struct fixture *fixture)
{
    for (int i = 0; i < CLIENTS; i++)
        disconnect_client(&fixture->clients[i]);
    wait_for(fixture, &fixture->disconnected, CLIENTS);
}

static void test_200_clients_send_each_other_messages_at_every_qos(void **state)
{
    struct fixture *fixture = *state;
    connect_and_subscribe_all(fixture, NULL, 2);
    for (int qos = 0; qos <= 2; qos++)
        for (int i = 0; i < CLIENTS; i++)
            publish_client(&fixture->clients[i], fixture->clients[(i + 1) % CLIENTS].topic, qos);
    wait_for(fixture, &fixture->published, 3 * CLIENTS);
    wait_for(fixture, &fixture->received, 3 * CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        for (int qos = 0; qos <= 2; qos++)
            assert_int_equal(fixture->clients[i].received_qos[qos], 1);
    disconnect_all(fixture);
}

static void test_a_message_reaches_200_subscribers_of_one_topic(void **state)
{
    struct fixture *fixture = *state;
    connect_and_subscribe_all(fixture, "fan/out", 1);
    for (int i = 0; i < FAN_OUT_MESSAGES; i++)
        publish_client(&fixture->clients[0], "fan/out", 1);
    wait_for(fixture, &fixture->received, CLIENTS * FAN_OUT_MESSAGES);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(fixture->clients[i].received_qos[1], FAN_OUT_MESSAGES);
    disconnect_all(fixture);
}

static void test_a_kept_session_is_there_when_the_client_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct client *keeper = &fixture->clients[0], *publisher = &fixture->clients[1];
    connect_client(keeper, false);
    connect_client(publisher, true);
    wait_for(fixture, &fixture->connected, 2);
    assert_false(keeper->session_present);
    subscribe_client(keeper, "kept", 2);
    wait_for(fixture, &fixture->subscribed, 1);
    disconnect_client(keeper);
    wait_for(fixture, &fixture->disconnected, 1);
    publish_client(publisher, "kept", 1);
    publish_client(publisher, "kept", 2);
    wait_for(fixture, &fixture->published, 2);
    connect_client(keeper, false);
    wait_for(fixture, &fixture->connected, 3);
    assert_true(keeper->session_present);
    wait_for(fixture, &fixture->received, 2);
    assert_int_equal(keeper->received_qos[1], 1);
    assert_int_equal(keeper->received_qos[2], 1);
    disconnect_client(keeper);
    disconnect_client(publisher);
    wait_for(fixture, &fixture->disconnected, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_200_clients_send_each_other_messages_at_every_qos),
        TEST(test_a_message_reaches_200_subscribers_of_one_topic),
        TEST(test_a_kept_session_is_there_when_the_client_comes_back),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
