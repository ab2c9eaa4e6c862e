// SPDX-License-Identifier: Apache-2.0
// A hash of what clients choose: client ids, and the levels of topics. A client that knew the hash could choose a hundred
// thousand names of one bucket, and each search would walk over all of them. So the hash has a secret key, and the key is
// the factor too: with a constant factor some changes of a name have the same effect under every key.
//
//     struct name_key key;
//     name_key_make(&key);
//     uint32_t hash = name_hash(&key, id.data, id.bytes);
#ifndef POOLMARK_BROKER_MQTT_NAME_HASH_H
#define POOLMARK_BROKER_MQTT_NAME_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct name_key {
    uint64_t start;
    uint64_t factor; // odd
};

void name_key_make(struct name_key *key); // a random one

// Both halves of the product. They depend on every bit of both factors.
static inline uint64_t name_hash_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 product;
    product whole = (product)a * b;
    return (uint64_t)whole ^ (uint64_t)(whole >> 64);
}

// Eight bytes at a time.
static inline uint32_t name_hash(const struct name_key *key, const char *name, size_t bytes)
{
    uint64_t hash = key->start ^ bytes;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, name + i, bytes - i < 8 ? bytes - i : 8);
        hash = name_hash_fold(hash ^ word, key->factor) + i;
    }
    hash = name_hash_fold(hash ^ key->start, UINT64_C(0xD6E8FEB86659FD93));
    return (uint32_t)(hash ^ hash >> 32);
}

#endif
