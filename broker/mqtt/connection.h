// SPDX-License-Identifier: Apache-2.0
// A client's connection: a transport, and what MQTT adds to it.
//
// It lies at the beginning of an object of the pool `connections` and belongs to one loop, whose thread alone
// touches it. It moves to another loop only before its CONNECT is answered.
//
// A connection is new until it has a session; then it is open; dead ends both.
#ifndef POOLMARK_BROKER_MQTT_CONNECTION_H
#define POOLMARK_BROKER_MQTT_CONNECTION_H

#include "broker/mqtt/message.h"
#include "broker/mqtt/server_state.h"
#include "broker/net/transport.h"
#include "wire/mqtt_publish.h"

struct connection {
    // owner_bit: has_session; owner_word: keep alive in seconds, 0 for none; owner_word of the timer: the
    // tick of the last packet received.
    struct transport transport;
    union {
        void *arena; // eager: for the session to come
        struct session *session;
    };
};

static inline struct connection *connection_of(struct transport *transport)
{
    return (struct connection *)transport; // its first member
}

static inline struct worker *connection_worker(const struct connection *connection)
{
    return connection->transport.turn->owner;
}

static inline bool connection_has_session(const struct connection *connection)
{
    return connection->transport.owner_bit;
}

static inline bool connection_is_open(const struct connection *connection)
{
    return connection->transport.owner_bit && !connection->transport.is_dead;
}

static inline bool connection_can_send(const struct connection *connection)
{
    return transport_can_send(&connection->transport);
}

// Takes `fd`. 0; -ENOBUFS: a pool refused; -ENOMEM: no memory, or the account refused. Then the descriptor is
// still the caller's.
int connection_open(struct worker *worker, int fd) __attribute__((warn_unused_result));

// Gives everything back, its session aside. `connection` is gone then.
void connection_free(struct connection *connection);

void connection_start_connect_timer(struct connection *connection);
void connection_start_keep_alive(struct connection *connection, uint16_t keep_alive_s);
void connection_on_timer(struct transport *transport);

// How one copy of a message goes out.
struct publish_form {
    uint8_t qos;
    bool dup, retain;
    bool is_packet;     // the payload is a whole packet, and no PUBLISH
    uint16_t packet_id; // 0 at QoS 0
};

// Appends a PUBLISH, or begins to send it. false: the socket takes no more now, and nothing of it was taken.
bool connection_publish(struct connection *connection, struct message *message,
                        const struct publish_form *form);

// Appends PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK, for which there is room.
enum { CONNECTION_ACK_BYTES = 4 };
void connection_acknowledge(struct connection *connection, enum mqtt_packet_type type, uint16_t packet_id);

// Sends a packet of any size that is the payload of `message`. Nothing else waits to be sent.
void connection_send_packet(struct connection *connection, struct message *message);

// Of transport_rules: how a message is sent from where it lies.
void connection_list_parts(const void *source, uint64_t form, struct transport_parts *parts);

#endif
