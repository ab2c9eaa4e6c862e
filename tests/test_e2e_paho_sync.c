// SPDX-License-Identifier: Apache-2.0
// Against a real broker: paho.mqtt.c's synchronous library (MQTTClient), which is another client than the asynchronous one of
// test_e2e_paho.c. It publishes at every QoS, leaves and comes back; each message arrives once and in order.
#include "tests/broker_process.h"

#include <MQTTClient.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MESSAGES = 12 /* the library waits 40 ms for each */, GUARD_MS = PROCESS_GUARD_S * 1000 };

static char uri[64];

static MQTTClient make(const char *id)
{
    MQTTClient client;
    assert_int_equal(MQTTClient_create(&client, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL),
                     MQTTCLIENT_SUCCESS);
    return client;
}

static bool come(MQTTClient client, bool is_clean)
{
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    options.cleansession = is_clean;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    assert_int_equal(MQTTClient_connect(client, &options), MQTTCLIENT_SUCCESS);
    return options.returned.sessionPresent;
}

static void leave(MQTTClient client)
{
    assert_int_equal(MQTTClient_disconnect(client, GUARD_MS), MQTTCLIENT_SUCCESS);
}

static void publish(MQTTClient client, const char *topic, const char *payload, int qos, bool retain)
{
    MQTTClient_deliveryToken token;
    assert_int_equal(MQTTClient_publish(client, topic, (int)strlen(payload), payload, qos, retain, &token),
                     MQTTCLIENT_SUCCESS);
    assert_int_equal(MQTTClient_waitForCompletion(client, token, GUARD_MS), MQTTCLIENT_SUCCESS);
}

static void publish_numbers(MQTTClient client, int lowest_qos)
{
    for (int number = 0; number < MESSAGES; number++)
        for (int qos = lowest_qos; qos <= 2; qos++) {
            char topic[16], payload[16];
            snprintf(topic, sizeof topic, "w/%d", qos);
            snprintf(payload, sizeof payload, "%d", number);
            publish(client, topic, payload, qos, false);
        }
}

static MQTTClient_message *receive(MQTTClient client, char topic[16])
{
    char *found = NULL;
    int bytes = 0;
    MQTTClient_message *message = NULL;
    assert_int_equal(MQTTClient_receive(client, &found, &bytes, &message, GUARD_MS), MQTTCLIENT_SUCCESS);
    assert_non_null(message);
    snprintf(topic, 16, "%s", found);
    MQTTClient_free(found);
    return message;
}

static void expect(MQTTClient client, const char *wanted_topic, const char *wanted, int qos, bool retained)
{
    char topic[16];
    MQTTClient_message *message = receive(client, topic);
    assert_string_equal(topic, wanted_topic);
    assert_int_equal(message->payloadlen, strlen(wanted));
    assert_memory_equal(message->payload, wanted, strlen(wanted));
    assert_int_equal(message->qos, qos);
    assert_int_equal(message->retained, retained);
    MQTTClient_freeMessage(&message);
}

// Those of a topic come in their order. The library shows a message of QoS 2 when its PUBREL has come.
static void expect_numbers(MQTTClient client, int lowest_qos)
{
    int next[3] = {0, 0, 0};
    for (int i = 0; i < (3 - lowest_qos) * MESSAGES; i++) {
        char topic[16], wanted_topic[16], wanted[16];
        MQTTClient_message *message = receive(client, topic);
        assert_in_range(message->qos, lowest_qos, 2);
        snprintf(wanted_topic, sizeof wanted_topic, "w/%d", message->qos);
        snprintf(wanted, sizeof wanted, "%d", next[message->qos]++);
        assert_string_equal(topic, wanted_topic);
        assert_int_equal(message->payloadlen, strlen(wanted));
        assert_memory_equal(message->payload, wanted, strlen(wanted));
        assert_false(message->retained);
        MQTTClient_freeMessage(&message);
    }
}

static void each_message_of_every_qos_comes_once_in_order(void **state)
{
    (void)state;
    MQTTClient publisher = make("sync-publisher"), subscriber = make("sync-subscriber");
    come(publisher, true);
    assert_false(come(subscriber, false));
    assert_int_equal(MQTTClient_subscribe(subscriber, "w/#", 2), MQTTCLIENT_SUCCESS);
    publish_numbers(publisher, 0);
    expect_numbers(subscriber, 0);
    leave(subscriber);
    publish_numbers(publisher, 1);
    assert_true(come(subscriber, false));
    expect_numbers(subscriber, 1);
    publish(publisher, "w/end", "end", 2, false);
    expect(subscriber, "w/end", "end", 2, false); // nothing came twice before it
    leave(subscriber);
    come(subscriber, true); // ends the session
    leave(subscriber);
    leave(publisher);
    MQTTClient_destroy(&subscriber);
    MQTTClient_destroy(&publisher);
}

static void a_retained_message_comes_to_who_subscribes_later(void **state)
{
    (void)state;
    MQTTClient publisher = make("sync-publisher"), subscriber = make("sync-subscriber");
    come(publisher, true);
    come(subscriber, true);
    publish(publisher, "r/1", "kept", 1, true);
    assert_int_equal(MQTTClient_subscribe(subscriber, "r/+", 1), MQTTCLIENT_SUCCESS);
    expect(subscriber, "r/1", "kept", 1, true);
    publish(publisher, "r/1", "", 1, true);
    leave(subscriber);
    leave(publisher);
    MQTTClient_destroy(&subscriber);
    MQTTClient_destroy(&publisher);
}

static int start(void **state, struct process *broker)
{
    *state = broker;
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%d", process_port(broker));
    return 0;
}

static int start_lean(void **state)
{
    return start(state, process_start_lean_broker());
}

static int start_small(void **state)
{
    return start(state, process_start_small_broker());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_of_every_qos_comes_once_in_order),
        cmocka_unit_test(a_retained_message_comes_to_who_subscribes_later),
    };
    int failed =
        cmocka_run_group_tests_name("paho, synchronous, lean", tests, start_lean, process_group_stop);
    return failed +
           cmocka_run_group_tests_name("paho, synchronous, small", tests, start_small, process_group_stop);
}
