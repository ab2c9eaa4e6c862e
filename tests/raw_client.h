// SPDX-License-Identifier: Apache-2.0
// A client of raw bytes for end-to-end tests: a blocking socket and the codec of wire/, so that a test says
// exactly what goes over the wire. Every function fails the test when what it says does not happen within
// PROCESS_GUARD_S.
//
//     struct raw_client client;
//     raw_open(&client, process_port(broker));
//     RAW_SEND(&client, "\xC0\x00");
//     RAW_EXPECT(&client, "\xD0\x00");
//     raw_expect_closed(&client);
#ifndef POOLMARK_TESTS_RAW_CLIENT_H
#define POOLMARK_TESTS_RAW_CLIENT_H

#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

enum { RAW_BUFFER_BYTES = 1 << 20 };

struct raw_client {
    int fd;
    uint8_t *data;       // received and not yet taken, the packet last given at its start
    size_t used, packet; // bytes in `data`; bytes of that packet
    uint16_t next_id;
};

void raw_open(struct raw_client *client, uint16_t port); // TCP only
// The same from an address of 127.0.0.0/8.
void raw_open_from(struct raw_client *client, const char *source, uint16_t port);
void raw_close(struct raw_client *client); // without DISCONNECT; may be called twice
void raw_send(struct raw_client *client, const void *data, size_t bytes);
#define RAW_SEND(client, literal) raw_send((client), (literal), sizeof(literal) - 1)

// The next packet; its views are valid until the next call. The second one fails unless it is of that type.
struct mqtt_frame raw_receive(struct raw_client *client);
struct mqtt_frame raw_receive_type(struct raw_client *client, enum mqtt_packet_type type);
struct mqtt_publish raw_receive_publish(struct raw_client *client);

// Receives one of that type (true), or finds the connection closed (false).
bool raw_try_receive(struct raw_client *client, enum mqtt_packet_type type);

// The next bytes are these; there is nothing more but the end of the connection (a reset will do).
#define RAW_EXPECT(client, literal) raw_expect((client), (literal), sizeof(literal) - 1)
void raw_expect(struct raw_client *client, const void *data, size_t bytes);
void raw_expect_closed(struct raw_client *client);

// CONNECT as given, or with just an id; expects CONNACK with code 0 and gives "session present".
bool raw_connect(struct raw_client *client, uint16_t port, const struct mqtt_connect *connect);
void raw_connect_clean(struct raw_client *client, uint16_t port, const char *id);
bool raw_connect_kept(struct raw_client *client, uint16_t port, const char *id);
void raw_disconnect(struct raw_client *client); // DISCONNECT, and waits for the end

// SUBSCRIBE and its SUBACK, whose code is returned; UNSUBSCRIBE and its UNSUBACK; both with nothing between.
int raw_subscribe(struct raw_client *client, const char *filter, uint8_t qos);
void raw_unsubscribe(struct raw_client *client, const char *filter);

// Sends a PUBLISH with a packet id of its own above QoS 0, and returns the id. raw_publish_done goes on to
// the last acknowledgement (nothing else may come between).
uint16_t raw_publish(struct raw_client *client, const char *topic, const char *payload, uint8_t qos,
                     bool retain);
void raw_publish_done(struct raw_client *client, const char *topic, const char *payload, uint8_t qos,
                      bool retain);
void raw_ack(struct raw_client *client, enum mqtt_packet_type type, uint16_t packet_id);
void raw_expect_ack(struct raw_client *client, enum mqtt_packet_type type, uint16_t packet_id);

// The next packet is a PUBLISH with that topic, payload and QoS, and neither DUP nor RETAIN; gives its packet
// id.
uint16_t raw_expect_publish(struct raw_client *client, const char *topic, const char *payload, uint8_t qos);

// PINGREQ, and the very next packet is the PINGRESP: what the broker did for what was sent before is done.
void raw_ping(struct raw_client *client);

#endif
