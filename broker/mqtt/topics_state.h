// SPDX-License-Identifier: Apache-2.0
// The inside of topics. Only topics.c and topics_match.c include it.
#ifndef POOLMARK_BROKER_MQTT_TOPICS_STATE_H
#define POOLMARK_BROKER_MQTT_TOPICS_STATE_H

#include "broker/mqtt/topics_set.h"

#include <pthread.h>

struct account;

struct topics {
    struct account *account; // NULL: not counted
    pthread_rwlock_t lock;   // guards all below, every subscription, and every subscriber
    struct level_tree *tree; // of filters
    int64_t count;
    int64_t set_bytes; // heap bytes of the sets of filters that several subscribe to
};

#endif
