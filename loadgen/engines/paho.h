// SPDX-License-Identifier: Apache-2.0
// Engine `paho`: the MQTTAsync client of paho.mqtt.c, the library that most C programs use.
//
// The library has one send and one receive thread a process, which call back; callbacks put events into a
// queue that `step` empties. One run a process at a time: the library's state is global.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_H

#include "loadgen/engine.h"

extern const struct engine engine_paho;

#endif
