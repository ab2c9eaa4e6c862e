// SPDX-License-Identifier: Apache-2.0
// Engine `paho`: the MQTTAsync client of paho.mqtt.c, the library that most C programs use.
//
// The library has one send and one receive thread in a process. They call back, and the callbacks push events
// into a queue that `step` empties. A process has one run at a time: the library's state is global.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_H

#include "loadgen/engine.h"

extern const struct engine engine_paho;

#endif
