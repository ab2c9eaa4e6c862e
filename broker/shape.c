// SPDX-License-Identifier: Apache-2.0
#include "broker/shape.h"

#include "base/units.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

size_t shape_natural_object_bytes(void)
{
    return sizeof(struct connection);
}

size_t shape_natural_arena_bytes(void)
{
    return session_bytes(SESSION_NATURAL_ID_BYTES);
}

enum { KNOWN_SHAPES = 3 };

// The named shapes, as listed in broker/shape.h.
static struct shape known_shape(int at, const char **name)
{
    static const char *const names[KNOWN_SHAPES] = {"classic", "classic-lazy", "lean"};
    const struct shape shapes[KNOWN_SHAPES] = {
        {3072, 4096, 4096, 6144, true},
        {3072, 4096, 4096, 6144, false},
        {shape_natural_object_bytes(), 4096, 4096, shape_natural_arena_bytes(), false},
    };
    *name = names[at];
    return shapes[at];
}

static struct shape lean(void)
{
    const char *name;
    return known_shape(KNOWN_SHAPES - 1, &name);
}

static bool find_known(const char *text, struct shape *shape)
{
    for (int i = 0; i < KNOWN_SHAPES; i++) {
        const char *name;
        *shape = known_shape(i, &name);
        if (strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static bool is_same(const struct shape *a, const struct shape *b)
{
    return a->object_bytes == b->object_bytes && a->read_bytes == b->read_bytes &&
           a->write_bytes == b->write_bytes && a->arena_bytes == b->arena_bytes && a->eager == b->eager;
}

static int parse_size(const char *key, const char *value, size_t low, size_t *bytes, struct err *err)
{
    int64_t parsed;
    if (units_parse_bytes(value, &parsed) < 0)
        return err_set(err, -EINVAL, "%s=%s is not a number of bytes (4096 and 4KiB are understood)", key,
                       value);
    if (parsed < (int64_t)low || parsed > SHAPE_BYTES_MAX)
        return err_set(err, -EINVAL, "%s=%s is out of bounds: it takes %zu to %d bytes", key, value, low,
                       SHAPE_BYTES_MAX);
    *bytes = (size_t)parsed;
    return 0;
}

static int parse_word(char *word, struct shape *shape, struct err *err)
{
    if (strcmp(word, "eager") == 0 || strcmp(word, "lazy") == 0) {
        shape->eager = word[0] == 'e';
        return 0;
    }
    char *value = strchr(word, '=');
    if (!value)
        return err_set(
            err, -EINVAL,
            "\"%s\" is no part of a shape: they are object=, read=, write=, arena=, eager and lazy", word);
    *value++ = '\0';
    if (strcmp(word, "object") == 0)
        return parse_size(word, value, shape_natural_object_bytes(), &shape->object_bytes, err);
    if (strcmp(word, "read") == 0)
        return parse_size(word, value, SHAPE_BUFFER_MIN, &shape->read_bytes, err);
    if (strcmp(word, "write") == 0)
        return parse_size(word, value, SHAPE_BUFFER_MIN, &shape->write_bytes, err);
    if (strcmp(word, "arena") == 0)
        return parse_size(word, value, shape_natural_arena_bytes(), &shape->arena_bytes, err);
    return err_set(err, -EINVAL,
                   "\"%s=\" is no part of a shape: they are object=, read=, write= and arena=", word);
}

int shape_parse(const char *text, struct shape *shape, struct err *err)
{
    struct shape parsed;
    char copy[200];
    if (!find_known(text, &parsed)) {
        if (strlen(text) >= sizeof copy || !text[0])
            return err_set(
                err, -EINVAL,
                "a shape is classic, classic-lazy, lean or object=,read=,write=,arena=,eager|lazy");
        parsed = lean(); // the default of sizes that are not named
        memcpy(copy, text, strlen(text) + 1);
        char *rest = copy, *word;
        while ((word = strsep(&rest, ",")))
            if (parse_word(word, &parsed, err) < 0)
                return -EINVAL;
    }
    *shape = parsed;
    return 0;
}

char *shape_format(const struct shape *shape, char *text, size_t size)
{
    for (int i = 0; i < KNOWN_SHAPES; i++) {
        const char *name;
        struct shape known = known_shape(i, &name);
        if (is_same(shape, &known)) {
            snprintf(text, size, "%s", name);
            return text;
        }
    }
    snprintf(text, size, "object=%zu,read=%zu,write=%zu,arena=%zu,%s", shape->object_bytes, shape->read_bytes,
             shape->write_bytes, shape->arena_bytes, shape->eager ? "eager" : "lazy");
    return text;
}

const char *shape_known(int at, struct shape *shape)
{
    const char *name;
    if (at >= KNOWN_SHAPES)
        return NULL;
    *shape = known_shape(at, &name);
    return name;
}

size_t shape_connection_bytes(int at)
{
    static const size_t bytes[KNOWN_SHAPES] = {18000, 9600, 400};
    return bytes[at];
}

size_t shape_buffer_bytes(const struct shape *shape)
{
    return shape->read_bytes > shape->write_bytes ? shape->read_bytes : shape->write_bytes;
}
