// SPDX-License-Identifier: Apache-2.0
// A client for tests in which any call of the broker may fail. Each of its acts ends in one of few ways: done, or the
// broker refused it or ended the connection, as the protocol allows. What is more is WRONG or HUNG. Messages have numbers, and a
// party knows which it has seen.
//
// A blocking socket and the codec of wire/. One thread.
#ifndef POOLMARK_TESTS_FAULTS_PARTY_H
#define POOLMARK_TESTS_FAULTS_PARTY_H

#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

enum outcome {
    DONE,
    REFUSED, // CONNACK 3, SUBACK 128
    ENDED,   // the broker closed the connection
    HUNG,    // no answer within PARTY_GUARD_S
    WRONG,   // an answer that the protocol does not allow; `wrong` says which
};

enum { PARTY_GUARD_S = 30, PARTY_MESSAGES = 128, PARTY_BUFFER_BYTES = 1 << 16 };

struct party {
    const char *id;
    uint16_t port;
    int fd; // -1: not connected
    uint16_t next_id;
    bool session_present;          // as the last CONNACK said
    int seen[PARTY_MESSAGES];      // how often, by number
    bool retained[PARTY_MESSAGES]; // came with RETAIN
    const char *wrong;
    size_t used, packet; // bytes in `data`; bytes of the packet at its start that was handled
    uint8_t data[PARTY_BUFFER_BYTES];
};

void party_init(struct party *party, const char *id, uint16_t port);

// TCP, CONNECT and CONNACK. `will`: the number of its will, to topic f/will at QoS 1; negative: none.
enum outcome party_connect(struct party *party, bool is_clean, int will);
enum outcome party_subscribe(struct party *party, const char *filter, uint8_t qos);
enum outcome party_unsubscribe(struct party *party, const char *filter);
enum outcome party_ping(struct party *party); // also takes and acknowledges what came before
// Takes and acknowledges the next packet. `*took`: false when none came within `wait_ms`.
enum outcome party_take(struct party *party, int wait_ms, bool *took);

// Message `number`, with a payload of `bytes` or more; 0 at `bytes`: an empty payload. `*is_taken`: the broker has acknowledged it,
// which at QoS 2 is before the act is done.
enum outcome party_publish(struct party *party, const char *topic, int number, size_t bytes, uint8_t qos,
                           bool retain, bool *is_taken);
enum outcome party_send(struct party *party, const void *data, size_t bytes); // anything
enum outcome party_await_end(struct party *party);                            // ENDED when all is well
enum outcome party_disconnect(struct party *party);

void party_close(struct party *party); // without DISCONNECT; may be called twice
void party_reset(struct party *party); // by a RST

#endif
