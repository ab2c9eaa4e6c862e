// SPDX-License-Identifier: Apache-2.0
// A number for a topic, by which the topic of a message that arrived is compared with the one it was published to.
//
// An engine has the topic only while it reads the packet, and a client library gives it on another thread. So an event
// carries this number instead of the bytes, and a worker keeps that of each publisher. Two topics have the same number
// with a chance of 2^-63; somebody who chooses topics to that end finds some. Any thread.
#ifndef POOLMARK_LOADGEN_TOPIC_MARK_H
#define POOLMARK_LOADGEN_TOPIC_MARK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t topic_mark_mix(uint64_t mark, uint64_t word)
{
    mark = (mark ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return mark ^ mark >> 32;
}

// Never 0, which may stand for a topic that has not been named yet.
static inline uint64_t topic_mark(const char *topic, size_t bytes)
{
    uint64_t mark = bytes, word = 0;
    size_t at = 0;
    for (; at + sizeof word < bytes; at += sizeof word) {
        memcpy(&word, topic + at, sizeof word);
        mark = topic_mark_mix(mark, word);
    }
    if (bytes >= sizeof word) { // the last word overlaps the one before
        memcpy(&word, topic + bytes - sizeof word, sizeof word);
        return topic_mark_mix(mark, word) | 1;
    }
    for (word = 0; at < bytes; at++)
        word = word << 8 | (uint8_t)topic[at];
    return topic_mark_mix(mark, word) | 1;
}

#endif
