// SPDX-License-Identifier: Apache-2.0
// A peer that answers at once: what a broker must do so that an engine is content, and nothing else. Against
// it a generator measures itself (self_latency.h), and engines are tested without a broker.
//
// It accepts every client, forwards a PUBLISH to whoever subscribed to exactly that topic, at the lower of
// both QoS, and answers PINGREQ. It holds no session, retains nothing and checks little. One thread runs it;
// stop and drop may be called by any.
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
    int lose_every; // of so many PUBLISHes one is not forwarded; 0: all are
};

// Listens on 127.0.0.1, a port of the system's choice.
int responder_open(struct responder **responder, const struct responder_config *config, struct err *err)
    __attribute__((warn_unused_result));
uint16_t responder_port(const struct responder *responder);
void responder_run(struct responder *responder); // until stopped
void responder_stop(struct responder *responder);
void responder_drop(struct responder *responder); // closes every connection it has, soon
void responder_close(struct responder *responder);

#endif
