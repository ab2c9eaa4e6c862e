// SPDX-License-Identifier: Apache-2.0
// A peer that answers at once, with just the parts of a broker that an engine needs. The generator measures
// itself against it (self_latency.h), and tests run engines without a broker.
//
// It accepts every client, forwards a PUBLISH to the subscribers of exactly that topic at the lower QoS of
// both, and answers PINGREQ. It holds no session, retains nothing and checks little. One thread runs it; any
// thread may call stop and drop.
//
//     responder_open(&responder, &(struct responder_config){0}, &err);
//     pthread_create(&thread, NULL, run, responder);       // run: responder_run(responder)
//     ... responder_port(responder) ...
//     responder_stop(responder); pthread_join(thread, NULL); responder_close(responder);
#ifndef POOLMARK_LOADGEN_RESPONDER_H
#define POOLMARK_LOADGEN_RESPONDER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct responder;

struct responder_config {
    int refuse;  // CONNACK code for every client; 0: accept
    bool silent; // answers no CONNECT
    bool refuse_subscriptions;
    bool deaf;      // answers no PINGREQ
    int lose_every; // one PUBLISH in so many is not forwarded; 0: all are
};

// Listens on 127.0.0.1, a port of the system's choice.
int responder_open(struct responder **responder, const struct responder_config *config, struct err *err)
    __attribute__((warn_unused_result));
uint16_t responder_port(const struct responder *responder);
void responder_run(struct responder *responder); // until stopped
void responder_stop(struct responder *responder);
void responder_drop(struct responder *responder); // asks it to close every connection
void responder_close(struct responder *responder);

#endif
