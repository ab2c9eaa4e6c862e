// SPDX-License-Identifier: Apache-2.0
#include "loadgen/payload.h"

#include <endian.h>
#include <string.h>

static const char magic[4] = {'P', 'M', 'K', '1'};

static void put64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof value);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return le64toh(value);
}

void payload_write(uint8_t *to, const struct payload *payload)
{
    uint32_t pair = htole32(payload->pair);
    memcpy(to, magic, sizeof magic);
    memcpy(to + 4, &pair, sizeof pair);
    put64(to + 8, payload->sequence);
    put64(to + 16, (uint64_t)payload->intended_ns);
    put64(to + 24, (uint64_t)payload->sent_ns);
}

bool payload_read(const uint8_t *data, size_t bytes, struct payload *payload)
{
    if (bytes < PAYLOAD_MIN_BYTES || memcmp(data, magic, sizeof magic) != 0)
        return false;
    uint32_t pair;
    memcpy(&pair, data + 4, sizeof pair);
    payload->pair = le32toh(pair);
    payload->sequence = get64(data + 8);
    payload->intended_ns = (int64_t)get64(data + 16);
    payload->sent_ns = (int64_t)get64(data + 24);
    return true;
}
