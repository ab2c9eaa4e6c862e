// SPDX-License-Identifier: Apache-2.0
#include "loadgen/payload.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCE_BITS = 64 - PAYLOAD_RUN_BITS };

// The text repeats after TEXT_BYTES. A payload begins at a multiple of STEP_BYTES, one of STEPS.
enum { TEXT_BYTES = 4096, STEP_BYTES = 8, STEPS = 64 };

static uint8_t text[TEXT_BYTES];

__attribute__((constructor)) static void make_text(void)
{
    uint64_t state = 0x504d4b31; // any
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        text[i] = (uint8_t)(state >> 56);
    }
}

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

static uint64_t place_of(const struct payload *payload)
{
    return payload->sequence | (uint64_t)payload->run << SEQUENCE_BITS;
}

// Products with odd factors, which do not wait for each other. A change of one field changes the sum; of one byte,
// its upper half too.
static uint32_t check_of(const struct payload *payload, size_t bytes)
{
    uint64_t sum = (payload->pair | (uint64_t)bytes << 32) * 0x9e3779b97f4a7c15U +
                   place_of(payload) * 0xbf58476d1ce4e5b9U +
                   (uint64_t)payload->intended_ns * 0x94d049bb133111ebU +
                   (uint64_t)payload->sent_ns * 0xd6e8feb86659fd93U + 0x504d4b32;
    return (uint32_t)(sum >> 32);
}

// Where in the text a payload begins. Its header is in the place of the text's first bytes.
static size_t start_of(const struct payload *payload)
{
    return (size_t)((payload->sequence + payload->pair * 7U) % STEPS) * STEP_BYTES;
}

int payload_writer_open(struct payload_writer *writer, size_t bytes)
{
    *writer = (struct payload_writer){.text = malloc(bytes + STEPS * STEP_BYTES)};
    if (!writer->text)
        return -ENOMEM;
    for (size_t i = 0; i < bytes + STEPS * STEP_BYTES; i++)
        writer->text[i] = text[i % TEXT_BYTES];
    return 0;
}

void payload_writer_close(struct payload_writer *writer)
{
    free(writer->text);
    *writer = (struct payload_writer){0};
}

void payload_header_write(uint8_t to[static PAYLOAD_MIN_BYTES], size_t bytes, const struct payload *payload)
{
    uint32_t check = htole32(check_of(payload, bytes)), pair = htole32(payload->pair);
    memcpy(to, &check, sizeof check);
    memcpy(to + 4, &pair, sizeof pair);
    put64(to + 8, place_of(payload));
    put64(to + 16, (uint64_t)payload->intended_ns);
    put64(to + 24, (uint64_t)payload->sent_ns);
}

bool payload_header_read(const uint8_t from[static PAYLOAD_MIN_BYTES], size_t bytes, struct payload *payload)
{
    uint32_t check, pair;
    uint64_t place = get64(from + 8);
    memcpy(&check, from, sizeof check);
    memcpy(&pair, from + 4, sizeof pair);
    struct payload read = {.pair = le32toh(pair),
                           .run = (uint32_t)(place >> SEQUENCE_BITS),
                           .sequence = place & ((UINT64_C(1) << SEQUENCE_BITS) - 1),
                           .intended_ns = (int64_t)get64(from + 16),
                           .sent_ns = (int64_t)get64(from + 24)};
    if (le32toh(check) != check_of(&read, bytes))
        return false;
    *payload = read;
    return true;
}

const uint8_t *payload_write(struct payload_writer *writer, size_t bytes, const struct payload *payload)
{
    memcpy(writer->text + writer->header_at, text + writer->header_at, PAYLOAD_MIN_BYTES);
    writer->header_at = start_of(payload);
    uint8_t *to = writer->text + writer->header_at;
    payload_header_write(to, bytes, payload);
    return to;
}

static bool has_its_body(const uint8_t *data, size_t bytes, size_t start)
{
    size_t at = start + PAYLOAD_MIN_BYTES;
    for (size_t i = PAYLOAD_MIN_BYTES, part; i < bytes; i += part, at = 0) {
        part = bytes - i < TEXT_BYTES - at ? bytes - i : TEXT_BYTES - at;
        if (memcmp(data + i, text + at, part) != 0)
            return false;
    }
    return true;
}

enum payload_content payload_read(const uint8_t *data, size_t bytes, struct payload *payload)
{
    if (bytes < PAYLOAD_MIN_BYTES)
        return PAYLOAD_STRANGE;
    struct payload read;
    if (!payload_header_read(data, bytes, &read))
        return PAYLOAD_STRANGE;
    *payload = read;
    return has_its_body(data, bytes, start_of(&read)) ? PAYLOAD_WHOLE : PAYLOAD_CORRUPT;
}
