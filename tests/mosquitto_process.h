// SPDX-License-Identifier: Apache-2.0
// mosquitto as a program, for end-to-end tests against a broker of another project. It says who connects on stderr.
#ifndef POOLMARK_TESTS_MOSQUITTO_PROCESS_H
#define POOLMARK_TESTS_MOSQUITTO_PROCESS_H

#include "tests/broker_process.h"

bool mosquitto_is_installed(void);

// Starts it on a free port of 127.0.0.1. `settings`: further lines of its configuration, each with its end;
// "allow_anonymous true\n" lets everybody in. `dir` gets the configuration. Fails the test when it does not start.
struct process *mosquitto_start(const char *dir, const char *settings, uint16_t *port);

#endif
