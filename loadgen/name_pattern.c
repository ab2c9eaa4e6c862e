// SPDX-License-Identifier: Apache-2.0
#include "loadgen/name_pattern.h"

#include "loadgen/backoff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct name_pattern *pattern, struct name_part part, struct err *err)
{
    if (pattern->count == NAME_PARTS_MAX)
        return err_set(err, -EINVAL, "it has more than %d variables and texts between them", NAME_PARTS_MAX);
    pattern->parts[pattern->count++] = part;
    return 0;
}

// Reads the variable behind the percent sign. Returns its bytes, or 0 when it is none.
static size_t read_variable(const char *at, struct name_part *part)
{
    static const struct {
        char letter;
        enum name_variable variable;
    } letters[] = {{'i', NAME_NUMBER}, {'c', NAME_CLIENT_ID}, {'u', NAME_USER}, {'p', NAME_PREFIX}};
    if (strncmp(at, "rand_", 5) == 0) {
        char *end;
        errno = 0;
        *part = (struct name_part){.variable = NAME_RANDOM, .most = strtoull(at + 5, &end, 10)};
        bool is_number = at[5] >= '1' && at[5] <= '9' && errno == 0;
        return is_number ? (size_t)(end - at) : 0;
    }
    if (*at == '%') {
        *part = (struct name_part){.variable = NAME_TEXT, .text = at, .bytes = 1};
        return 1;
    }
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (*at == letters[i].letter) {
            *part = (struct name_part){.variable = letters[i].variable};
            return 1;
        }
    return 0;
}

int name_pattern_parse(struct name_pattern *pattern, const char *text, struct err *err)
{
    *pattern = (struct name_pattern){.count = 0};
    for (const char *at = text; *at;) {
        struct name_part part = {.variable = NAME_TEXT, .text = at, .bytes = strcspn(at, "%")};
        size_t used = part.bytes;
        if (*at == '%') {
            size_t bytes = read_variable(at + 1, &part);
            if (bytes == 0)
                return err_set(
                    err, -EINVAL,
                    "\"%.8s\" begins no variable; there are %%i, %%c, %%u, %%p and %%rand_N, and %%%% "
                    "for a percent sign",
                    at);
            used = bytes + 1;
        }
        int code = add(pattern, part, err);
        if (code < 0)
            return code;
        at += used;
    }
    return 0;
}

bool name_pattern_has(const struct name_pattern *pattern, enum name_variable variable)
{
    for (int i = 0; i < pattern->count; i++)
        if (pattern->parts[i].variable == variable)
            return true;
    return false;
}

static bool is_of_a_client(const struct name_part *part)
{
    return part->variable == NAME_CLIENT_ID || part->variable == NAME_USER;
}

bool name_pattern_is_ambiguous(const struct name_pattern *pattern)
{
    for (int i = 0; i + 1 < pattern->count; i++) {
        const struct name_part *one = &pattern->parts[i], *next = one + 1;
        bool varies = one->variable == NAME_NUMBER || one->variable == NAME_RANDOM;
        bool next_varies = next->variable == NAME_NUMBER || next->variable == NAME_RANDOM;
        if ((varies && (next_varies || is_of_a_client(next))) || (is_of_a_client(one) && next_varies))
            return true;
    }
    return false;
}

size_t name_pattern_bytes(const struct name_pattern *pattern, size_t client_id_bytes, size_t user_bytes,
                          size_t prefix_bytes)
{
    size_t bytes = 0;
    for (int i = 0; i < pattern->count; i++) {
        const struct name_part *part = &pattern->parts[i];
        bytes += part->variable == NAME_TEXT        ? part->bytes
                 : part->variable == NAME_CLIENT_ID ? client_id_bytes
                 : part->variable == NAME_USER      ? user_bytes
                 : part->variable == NAME_PREFIX    ? prefix_bytes
                                                    : NAME_NUMBER_BYTES;
    }
    return bytes;
}

static size_t write_number(char *to, uint64_t number)
{
    char digits[NAME_NUMBER_BYTES];
    size_t bytes = 0;
    do {
        digits[bytes++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < bytes; i++)
        to[i] = digits[bytes - 1 - i];
    return bytes;
}

static size_t write_text(char *to, const char *text)
{
    size_t bytes = strlen(text);
    memcpy(to, text, bytes);
    return bytes;
}

static size_t write_part(const struct name_part *part, int place, const struct name_values *values, char *to)
{
    switch (part->variable) {
    case NAME_TEXT:
        memcpy(to, part->text, part->bytes);
        return part->bytes;
    case NAME_NUMBER:
        return write_number(to, (uint64_t)values->number);
    case NAME_CLIENT_ID:
        return write_text(to, values->client_id);
    case NAME_USER:
        return write_text(to, values->user);
    case NAME_PREFIX:
        return write_text(to, values->prefix);
    case NAME_RANDOM: // each place has another number
        return write_number(to, 1 + chance_bits(values->seed + (uint64_t)place, (uint64_t)values->number) %
                                        part->most);
    }
    return 0;
}

size_t name_pattern_write(const struct name_pattern *pattern, const struct name_values *values, char *to)
{
    size_t bytes = 0;
    for (int i = 0; i < pattern->count; i++)
        bytes += write_part(&pattern->parts[i], i, values, to + bytes);
    to[bytes] = '\0';
    return bytes;
}

// The level that begins at `level` has ended at `bytes`.
static size_t end_level(char *to, size_t level, size_t bytes, bool differs)
{
    if (!differs)
        return bytes;
    to[level] = '+';
    return level + 1;
}

size_t name_pattern_write_filter(const struct name_pattern *pattern, const char *prefix, char *to)
{
    size_t bytes = 0, level = 0;
    bool differs = false;
    for (int i = 0; i < pattern->count; i++) {
        const struct name_part *part = &pattern->parts[i];
        if (part->variable != NAME_TEXT && part->variable != NAME_PREFIX) {
            differs = true;
            continue;
        }
        const char *text = part->variable == NAME_TEXT ? part->text : prefix;
        size_t length = part->variable == NAME_TEXT ? part->bytes : strlen(prefix);
        for (size_t at = 0; at < length; at++) {
            if (text[at] == '/') {
                bytes = end_level(to, level, bytes, differs);
                level = bytes + 1;
                differs = false;
            }
            to[bytes++] = text[at];
        }
    }
    bytes = end_level(to, level, bytes, differs);
    to[bytes] = '\0';
    return bytes;
}
