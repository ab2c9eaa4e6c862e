// SPDX-License-Identifier: Apache-2.0
// UTF-8 strings (section 1.5.3), topic names and topic filters (section 4.7).
//
// Code points that the specification only advises against (controls, non-characters) pass. U+FEFF is kept at
// every position [MQTT-1.5.3-3]. Any thread may call.
#ifndef POOLMARK_WIRE_MQTT_TEXT_H
#define POOLMARK_WIRE_MQTT_TEXT_H

#include "wire/mqtt.h"

// MQTT_OK, MQTT_BAD_UTF8 or MQTT_BAD_NUL. Overlong forms, surrogates and code points past U+10FFFF are
// ill-formed.
enum mqtt_error mqtt_text_check(struct mqtt_text text) __attribute__((warn_unused_result));

// A topic name of a PUBLISH or a will: at least one character, no wildcards.
enum mqtt_error mqtt_topic_name_check(struct mqtt_text name) __attribute__((warn_unused_result));

// A topic filter of a SUBSCRIBE: like a name, but + may stand alone in a level, and # alone in the last one.
enum mqtt_error mqtt_topic_filter_check(struct mqtt_text filter) __attribute__((warn_unused_result));

#endif
