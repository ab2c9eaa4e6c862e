// SPDX-License-Identifier: Apache-2.0
// Reads and writes fields, for modules of wire/ only. Every read is checked against the end of the body. For
// writes, mqtt_write_begin checks once that the whole packet fits. A reader that failed stays failed, so a
// decoder may read several fields and check once.
#ifndef POOLMARK_WIRE_MQTT_CURSOR_H
#define POOLMARK_WIRE_MQTT_CURSOR_H

#include "wire/mqtt_frame.h"
#include "wire/mqtt_text.h"

#include <errno.h>

struct mqtt_reader {
    const uint8_t *at, *end;
    enum mqtt_error error; // the first error
};

static inline struct mqtt_reader mqtt_read_frame(const struct mqtt_frame *frame)
{
    return (struct mqtt_reader){frame->body, frame->body + frame->body_bytes, MQTT_OK};
}

static inline bool mqtt_read_fail(struct mqtt_reader *reader, enum mqtt_error error)
{
    if (reader->error == MQTT_OK)
        reader->error = error;
    return false;
}

// The next `bytes` bytes, or NULL when fewer are left. For 0 bytes it is NULL only when the body is NULL.
static inline const uint8_t *mqtt_read(struct mqtt_reader *reader, size_t bytes)
{
    if (reader->error != MQTT_OK || (size_t)(reader->end - reader->at) < bytes) {
        mqtt_read_fail(reader, MQTT_BAD_LENGTH);
        return NULL;
    }
    const uint8_t *data = reader->at;
    reader->at += bytes;
    return data;
}

static inline uint8_t mqtt_read_byte(struct mqtt_reader *reader)
{
    const uint8_t *data = mqtt_read(reader, 1);
    return data ? data[0] : 0;
}

static inline uint16_t mqtt_read_u16(struct mqtt_reader *reader) // big-endian, section 1.5.2
{
    const uint8_t *data = mqtt_read(reader, 2);
    if (!data)
        return 0;
    return (uint16_t)((unsigned)data[0] << 8 | data[1]);
}

// Two length bytes, then that many bytes.
static inline struct mqtt_bytes mqtt_read_bytes(struct mqtt_reader *reader)
{
    size_t bytes = mqtt_read_u16(reader);
    const uint8_t *data = mqtt_read(reader, bytes);
    return data ? (struct mqtt_bytes){data, bytes} : (struct mqtt_bytes){"", 0};
}

// The same as text, whose content is not checked yet.
static inline struct mqtt_text mqtt_read_text_raw(struct mqtt_reader *reader)
{
    struct mqtt_bytes bytes = mqtt_read_bytes(reader);
    return (struct mqtt_text){bytes.data, bytes.bytes};
}

static inline struct mqtt_text mqtt_read_text(struct mqtt_reader *reader,
                                              enum mqtt_error (*check)(struct mqtt_text))
{
    struct mqtt_text text = mqtt_read_text_raw(reader);
    if (reader->error == MQTT_OK)
        reader->error = check(text);
    return text;
}

static inline uint16_t mqtt_read_packet_id(struct mqtt_reader *reader)
{
    uint16_t packet_id = mqtt_read_u16(reader);
    if (packet_id == 0)
        mqtt_read_fail(reader, MQTT_BAD_PACKET_ID);
    return packet_id;
}

static inline enum mqtt_error mqtt_read_end(struct mqtt_reader *reader)
{
    if (reader->at != reader->end)
        mqtt_read_fail(reader, MQTT_BAD_LENGTH);
    return reader->error;
}

// Writers. The caller has checked that the whole packet fits. Each returns the end of its bytes.
static inline uint8_t *mqtt_write_u16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}

static inline uint8_t *mqtt_write_bytes(uint8_t *to, const void *data, size_t bytes)
{
    to = mqtt_write_u16(to, bytes);
    if (bytes)
        memcpy(to, data, bytes);
    return to + bytes;
}

// Writes the fixed header if the whole packet fits into `size`. Returns the bytes of the header, -ENOBUFS or
// -EINVAL.
static inline int mqtt_write_begin(void *to, size_t size, enum mqtt_packet_type type, uint8_t flags,
                                   size_t body_bytes)
{
    if (body_bytes > MQTT_REMAINING_MAX)
        return -EINVAL;
    return size < mqtt_packet_bytes(body_bytes) ? -ENOBUFS
                                                : mqtt_header_encode(to, size, type, flags, body_bytes);
}

#endif
