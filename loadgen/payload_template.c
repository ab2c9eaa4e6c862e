// SPDX-License-Identifier: Apache-2.0
#include "loadgen/payload_template.h"

#include <errno.h>
#include <string.h>

// NUMBER_BYTES: of any 64 bits. A time since 1970 has the same number of digits from 2001 to 2286.
enum { UNIQUE_BYTES = 2 * PAYLOAD_MIN_BYTES, NUMBER_BYTES = 20, MS_BYTES = 13, US_BYTES = 16, NS_BYTES = 19 };

static const struct {
    const char *word;
    enum payload_variable variable;
    size_t bytes; // 0: not fixed
} variables[] = {
    {"UNIQUE", PAYLOAD_UNIQUE, UNIQUE_BYTES}, {"SEQUENCE", PAYLOAD_SEQUENCE, 0},
    {"PUBLISHER", PAYLOAD_PUBLISHER, 0},      {"TIMESTAMP", PAYLOAD_MS, MS_BYTES},
    {"TIMESTAMPMS", PAYLOAD_MS, MS_BYTES},    {"TIMESTAMPUS", PAYLOAD_US, US_BYTES},
    {"TIMESTAMPNS", PAYLOAD_NS, NS_BYTES},
};
enum { VARIABLES = sizeof variables / sizeof variables[0] };

static size_t fixed_bytes(const struct payload_part *part)
{
    if (part->variable == PAYLOAD_TEXT)
        return part->bytes;
    for (int i = 0; i < VARIABLES; i++)
        if (variables[i].variable == part->variable)
            return variables[i].bytes;
    return 0;
}

static bool varies(const struct payload_part *part)
{
    return part->variable == PAYLOAD_SEQUENCE || part->variable == PAYLOAD_PUBLISHER;
}

// --- parsing -----------------------------------------------------------------------------------------------

// The bytes of "%WORD%" at `at`, with capital letters only; 0: none begins there.
static size_t word_bytes(const char *at, const char *end)
{
    const char *next = at + 1;
    while (next < end && *next >= 'A' && *next <= 'Z')
        next++;
    return next < end && *next == '%' && next > at + 1 ? (size_t)(next - at) + 1 : 0;
}

static int read_word(const char *at, size_t bytes, struct payload_part *part, struct err *err)
{
    for (int i = 0; i < VARIABLES; i++)
        if (strlen(variables[i].word) == bytes - 2 && memcmp(at + 1, variables[i].word, bytes - 2) == 0) {
            *part = (struct payload_part){.variable = variables[i].variable};
            return 0;
        }
    return err_set(
        err, -EINVAL,
        "\"%.*s\" is no variable; there are %%UNIQUE%%, %%SEQUENCE%%, %%PUBLISHER%%, %%TIMESTAMP%%, "
        "%%TIMESTAMPMS%%, %%TIMESTAMPUS%% and %%TIMESTAMPNS%%",
        (int)(bytes < 40 ? bytes : 40), at);
}

static int add(struct payload_template *made, struct payload_part part, struct err *err)
{
    // A percent sign that begins no variable is text.
    struct payload_part *last = made->count > 0 ? &made->parts[made->count - 1] : NULL;
    if (last && last->variable == PAYLOAD_TEXT && part.variable == PAYLOAD_TEXT) {
        last->bytes += part.bytes;
        return 0;
    }
    if (made->count == PAYLOAD_PARTS_MAX)
        return err_set(err, -EINVAL, "it has more than %d variables and texts between them",
                       (int)PAYLOAD_PARTS_MAX);
    made->parts[made->count++] = part;
    return 0;
}

static int split(struct payload_template *made, const char *text, size_t bytes, struct err *err)
{
    for (const char *at = text, *end = text + bytes; at < end;) {
        const char *percent = memchr(at, '%', (size_t)(end - at));
        struct payload_part part = {.variable = PAYLOAD_TEXT, .text = at};
        size_t word = percent == at ? word_bytes(at, end) : 0;
        part.bytes = percent == at ? 1 : (size_t)((percent ? percent : end) - at);
        int code = word > 0 ? read_word(at, word, &part, err) : 0;
        if (code == 0)
            code = add(made, part, err);
        if (code < 0)
            return code;
        at += word > 0 ? word : part.bytes;
    }
    return 0;
}

// Where the receiver finds the header.
static int place_unique(struct payload_template *made, struct err *err)
{
    int unique = -1;
    for (int i = 0; i < made->count; i++) {
        if (made->parts[i].variable != PAYLOAD_UNIQUE)
            continue;
        if (unique >= 0)
            return err_set(err, -EINVAL, "%%UNIQUE%% stands there twice");
        unique = i;
    }
    if (unique < 0)
        return err_set(
            err, -EINVAL,
            "%%UNIQUE%% is missing: the generator knows its messages by these 64 hexadecimal digits");
    bool before = false, after = false;
    size_t before_bytes = 0, after_bytes = 0;
    for (int i = 0; i < made->count; i++) {
        if (i < unique) {
            before = before || varies(&made->parts[i]);
            before_bytes += fixed_bytes(&made->parts[i]);
        } else if (i > unique) {
            after = after || varies(&made->parts[i]);
            after_bytes += fixed_bytes(&made->parts[i]);
        }
    }
    if (before && after)
        return err_set(
            err, -EINVAL,
            "%%UNIQUE%% stands between %%SEQUENCE%% or %%PUBLISHER%%, which have no fixed length, so it "
            "would not be found; put it before them or behind them");
    made->from_end = before;
    made->unique_away = before ? after_bytes : before_bytes;
    return 0;
}

int payload_template_parse(struct payload_template *made, const char *text, size_t bytes, struct err *err)
{
    *made = (struct payload_template){.count = 0};
    int code = split(made, text, bytes, err);
    if (code == 0)
        code = place_unique(made, err);
    if (code < 0)
        return code;
    for (int i = 0; i < made->count; i++)
        made->most += varies(&made->parts[i]) ? NUMBER_BYTES : fixed_bytes(&made->parts[i]);
    return 0;
}

// --- writing and reading -----------------------------------------------------------------------------------

static const char digits[] = "0123456789abcdef";

static size_t write_number(uint8_t *to, uint64_t number)
{
    uint8_t reversed[NUMBER_BYTES];
    size_t bytes = 0;
    do {
        reversed[bytes++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < bytes; i++)
        to[i] = reversed[bytes - 1 - i];
    return bytes;
}

static uint64_t value_of(const struct payload_template *made, enum payload_variable variable,
                         const struct payload *payload)
{
    uint64_t wall_ns = (uint64_t)payload->sent_ns + (uint64_t)made->wall_ns;
    switch (variable) {
    case PAYLOAD_SEQUENCE:
        return payload->sequence;
    case PAYLOAD_PUBLISHER:
        return payload->pair;
    case PAYLOAD_MS:
        return wall_ns / 1000000;
    case PAYLOAD_US:
        return wall_ns / 1000;
    default:
        return wall_ns;
    }
}

size_t payload_template_write(const struct payload_template *made, const struct payload *payload, uint8_t *to)
{
    size_t bytes = 0, unique_at = 0;
    for (int i = 0; i < made->count; i++) {
        const struct payload_part *part = &made->parts[i];
        if (part->variable == PAYLOAD_TEXT) {
            memcpy(to + bytes, part->text, part->bytes);
            bytes += part->bytes;
        } else if (part->variable == PAYLOAD_UNIQUE) {
            unique_at = bytes;
            bytes += UNIQUE_BYTES;
        } else {
            bytes += write_number(to + bytes, value_of(made, part->variable, payload));
        }
    }
    // The header's check value is over the length too, which is known now.
    uint8_t header[PAYLOAD_MIN_BYTES];
    payload_header_write(header, bytes, payload);
    for (size_t i = 0; i < sizeof header; i++) {
        to[unique_at + 2 * i] = (uint8_t)digits[header[i] >> 4];
        to[unique_at + 2 * i + 1] = (uint8_t)digits[header[i] & 15];
    }
    return bytes;
}

static int value_of_digit(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool read_header(const struct payload_template *made, const uint8_t *data, size_t bytes,
                        struct payload *payload)
{
    if (bytes < UNIQUE_BYTES || made->unique_away > bytes - UNIQUE_BYTES)
        return false;
    const uint8_t *at =
        data + (made->from_end ? bytes - UNIQUE_BYTES - made->unique_away : made->unique_away);
    uint8_t header[PAYLOAD_MIN_BYTES];
    for (size_t i = 0; i < sizeof header; i++) {
        int high = value_of_digit(at[2 * i]), low = value_of_digit(at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        header[i] = (uint8_t)(high << 4 | low);
    }
    return payload_header_read(header, bytes, payload);
}

enum payload_content payload_template_read(const struct payload_template *made, const uint8_t *data,
                                           size_t bytes, struct payload *payload)
{
    struct payload read;
    if (!read_header(made, data, bytes, &read))
        return PAYLOAD_STRANGE;
    *payload = read;
    size_t at = 0;
    for (int i = 0; i < made->count; i++) {
        const struct payload_part *part = &made->parts[i];
        uint8_t number[NUMBER_BYTES];
        const uint8_t *expected = (const uint8_t *)part->text;
        size_t length = part->bytes;
        if (part->variable == PAYLOAD_UNIQUE) {
            at += UNIQUE_BYTES; // read already
            continue;
        }
        if (part->variable != PAYLOAD_TEXT) {
            length = write_number(number, value_of(made, part->variable, &read));
            expected = number;
        }
        if (at > bytes || length > bytes - at || memcmp(data + at, expected, length) != 0)
            return PAYLOAD_CORRUPT;
        at += length;
    }
    return at == bytes ? PAYLOAD_WHOLE : PAYLOAD_CORRUPT;
}
