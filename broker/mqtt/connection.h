// SPDX-License-Identifier: Apache-2.0
// A client's connection: a transport and its MQTT state.
//
// It lies at the start of an object of the pool `connections`. It belongs to one loop, and only that loop's
// thread touches it. It can move to another loop only before its CONNECT is answered.
//
// A connection is new until it has a session. Then it is open. In both states it can become dead.
#ifndef POOLMARK_BROKER_MQTT_CONNECTION_H
#define POOLMARK_BROKER_MQTT_CONNECTION_H

#include "broker/mqtt/message.h"
#include "broker/mqtt/server_state.h"
#include "broker/net/transport.h"
#include "wire/mqtt_publish.h"

// Flags in `source` of its transport.
enum {
    CONNECTION_TAKEN_OVER = TRANSPORT_OWNER_FLAG, // another connection waits for its session
    CONNECTION_GATED = TRANSPORT_OWNER_FLAG_2,    // its output depends on what is not in the state file yet
    CONNECTION_FANS_OUT =
        TRANSPORT_OWNER_FLAG_3, // a message of it has not reached all its sessions (fan_out.h)
};

struct connection {
    // owner_bit: has a session; owner_word: keep alive in seconds, 0 for none; owner_word of the timer: tick
    // of the last packet received, before the CONNECT its place among the newcomers.
    struct transport transport;
    union {
        void *arena; // eager, before CONNECT: memory of the later session
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

// Takes over `fd`. 0; -ENOMEM: the account refused; -ENOBUFS: a pool refused, or another resource is missing.
// After a failure the caller still owns `fd`.
int connection_open(struct worker *worker, int fd) __attribute__((warn_unused_result));

// Closes the socket and frees `connection`. The session must have been detached.
void connection_free(struct connection *connection);

// Ends the oldest connections of this loop without a CONNECT, up to `most`, if they have had a quarter of a second or
// there are very many. Their descriptors and places are free at the end of a turn. Returns their number.
int connection_end_silent(struct worker *worker, int most);
void connection_is_no_newcomer(struct connection *connection); // its CONNECT has come

void connection_start_connect_timer(struct connection *connection);
// A new connection waits for the session of this one, which is broken and has so long to be served what it has sent.
void connection_take_over(struct connection *connection);
void connection_start_keep_alive(struct connection *connection, uint16_t keep_alive_s);
void connection_on_timer(struct transport *transport);

// The header fields of one copy of a message.
struct publish_form {
    uint8_t qos;
    bool dup, retain;
    bool is_packet;     // the payload is a whole packet other than PUBLISH; only the payload is sent
    uint16_t packet_id; // 0 at QoS 0
};

// Appends a PUBLISH to the output, or starts to send it. false: nothing of it was taken, because the socket
// takes no more now or is broken.
bool connection_publish(struct connection *connection, struct message *message,
                        const struct publish_form *form);

// Appends PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK. The caller has checked that there is room.
enum { CONNECTION_ACK_BYTES = 4 };
void connection_acknowledge(struct connection *connection, enum mqtt_packet_type type, uint16_t packet_id);

// Sends the payload of `message`, a packet of any size. No other output may be waiting.
void connection_send_packet(struct connection *connection, struct message *message);

// list_parts of transport_rules: the parts of a message that is sent in place.
void connection_list_parts(const void *source, uint64_t form, struct transport_parts *parts);

#endif
