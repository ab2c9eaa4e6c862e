// SPDX-License-Identifier: Apache-2.0
#include "wire/mqtt_text.h"

// The bytes of the character at `at`, 1 to 4; 0 when it is ill-formed. The bounds of the second byte exclude
// overlong forms, surrogates and code points above U+10FFFF (Unicode, table 3-7, well-formed byte sequences).
static size_t character_bytes(const uint8_t *at, const uint8_t *end)
{
    uint8_t first = at[0], low = 0x80, high = 0xBF;
    size_t bytes;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        bytes = 2;
    else if (first >= 0xE0 && first <= 0xEF)
        bytes = 3;
    else if (first >= 0xF0 && first <= 0xF4)
        bytes = 4;
    else
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    if ((size_t)(end - at) < bytes || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return bytes;
}

enum mqtt_error mqtt_text_check(struct mqtt_text text)
{
    const uint8_t *at = (const uint8_t *)text.data, *end = at + text.bytes;
    while (at < end) {
        // Topics and client ids are nearly always ASCII. So this skips eight bytes at a time while no byte is
        // 0 or has its high bit set. (The subtraction sets the high bit of a byte that is 0.)
        while (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, sizeof word);
            if ((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080))
                break;
            at += 8;
        }
        if (at == end)
            break;
        if (*at == 0)
            return MQTT_BAD_NUL;
        size_t bytes = character_bytes(at, end);
        if (bytes == 0)
            return MQTT_BAD_UTF8;
        at += bytes;
    }
    return MQTT_OK;
}

// Not 0: one of these eight bytes is 0, or above 0x7F, or '+' (0x2B) or '#' (0x23), which differ in one bit.
static uint64_t look_closer(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t wildcards = (word & ones * 0xF7) ^ ones * 0x23;
    return (word | (word - ones) | (wildcards - ones)) & ones * 0x80;
}

// Nearly every topic has only other characters, and 8 bytes or more. The last eight may overlap those before.
static bool is_plain(struct mqtt_text name)
{
    if (name.bytes < 8)
        return false;
    uint64_t found = look_closer(name.data + name.bytes - 8);
    for (size_t at = 0; at + 8 < name.bytes; at += 8)
        found |= look_closer(name.data + at);
    return found == 0;
}

enum mqtt_error mqtt_topic_name_check(struct mqtt_text name)
{
    if (name.bytes == 0)
        return MQTT_BAD_TOPIC_EMPTY;
    if (is_plain(name))
        return MQTT_OK;
    enum mqtt_error error = mqtt_text_check(name);
    if (error != MQTT_OK)
        return error;
    if (memchr(name.data, '+', name.bytes) || memchr(name.data, '#', name.bytes))
        return MQTT_BAD_TOPIC_WILDCARD;
    return MQTT_OK;
}

static bool begins_level(const char *text, const char *at)
{
    return at == text || at[-1] == '/';
}

enum mqtt_error mqtt_topic_filter_check(struct mqtt_text filter)
{
    if (filter.bytes == 0)
        return MQTT_BAD_TOPIC_EMPTY;
    enum mqtt_error error = mqtt_text_check(filter);
    if (error != MQTT_OK)
        return error;
    // A # is right at the end only. So what is behind the first one does not matter.
    const char *begin = filter.data, *end = begin + filter.bytes, *hash = memchr(begin, '#', filter.bytes);
    bool is_right = !hash || (hash + 1 == end && begins_level(begin, hash));
    const char *last = hash ? hash : end;
    for (const char *at = begin; (at = memchr(at, '+', (size_t)(last - at))); at++)
        if (!begins_level(begin, at) || (at + 1 < end && at[1] != '/'))
            return MQTT_BAD_FILTER_PLUS;
    return is_right ? MQTT_OK : MQTT_BAD_FILTER_HASH;
}
