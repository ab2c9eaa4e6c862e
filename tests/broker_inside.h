// SPDX-License-Identifier: Apache-2.0
// A broker inside the test's own process: so that a sanitizer pass over the unit tests sees its threads, and
// so that its pools can be looked at. Every function fails the test when something goes wrong.
//
//     struct broker_inside broker;
//     broker_inside_start(&broker, "--threads", "4", NULL);
//     ...clients connect to 127.0.0.1:broker.port...
//     broker_inside_end(&broker);      // also: everything but retained messages was put back
#ifndef POOLMARK_TESTS_BROKER_INSIDE_H
#define POOLMARK_TESTS_BROKER_INSIDE_H

#include "broker/broker.h"

#include <stdint.h>

struct broker_inside {
    struct broker_config config;
    struct broker *broker;
    struct address address; // where it listens
    uint16_t port;          // of that
};

// With `--listen 127.0.0.1:0` and the arguments given, which NULL ends and which must outlive it.
void broker_inside_start(struct broker_inside *inside, const char *argument, ...) __attribute__((sentinel));
void broker_inside_end(struct broker_inside *inside);

uint16_t broker_inside_port(const struct address *address);

#endif
