// SPDX-License-Identifier: Apache-2.0
// --describe: what the broker is, as JSON on stdout.
//
//     return broker_describe(&config);
#ifndef POOLMARK_BROKER_DESCRIBE_H
#define POOLMARK_BROKER_DESCRIBE_H

#include "broker/config.h"

// Prints options, metrics, strategies with their capabilities, shapes, and the pools of these options with
// their rule of growth. Returns an exit code.
int broker_describe(const struct broker_config *config);

#endif
