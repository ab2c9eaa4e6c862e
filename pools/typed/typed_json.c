// SPDX-License-Identifier: Apache-2.0
#include "pools/typed/typed_json.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

void typed_json_release(void *value)
{
    json_decref(value);
}

struct sink {
    struct typed_bytes *to;
    bool full; // no memory
};

static int write_text(const char *text, size_t length, void *context)
{
    struct sink *sink = context;
    if (typed_bytes_append(sink->to, text, length) == 0)
        return 0;
    sink->full = true;
    return -1;
}

int typed_json_marshal(const json_t *value, struct typed_bytes *to, struct err *err)
{
    struct sink sink = {.to = to};
    size_t before = to->length;
    if (json_dump_callback(value, write_text, &sink, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return 0;
    to->length = before;
    return sink.full ? err_set(err, -ENOMEM, "JSON: no memory for the text")
                     : err_set(err, -EINVAL, "JSON: the value has no text: none, a circle or too deep");
}

static int read_object(json_t **root, const char *text, size_t length, struct err *err)
{
    json_error_t error;
    *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!*root && json_error_code(&error) == json_error_out_of_memory)
        return err_set(err, -ENOMEM, "JSON: out of memory");
    if (!*root)
        return err_set(err, -EINVAL, "JSON: %s at byte %d", error.text, error.position);
    if (json_is_object(*root))
        return 0;
    json_decref(*root);
    return err_set(err, -EINVAL, "JSON: an object is wanted, and it is another value");
}

int typed_json_unmarshal(const char *text, size_t length, struct typed_map *to, struct err *err)
{
    json_t *root, *value;
    const char *key;
    typed_map_clear(to);
    int code = read_object(&root, text, length, err);
    if (code < 0)
        return code;
    json_object_foreach(root, key, value)
    {
        code = typed_map_set(to, key, strlen(key), value);
        if (code < 0)
            break;
        json_incref(value);
    }
    json_decref(root);
    if (code < 0) {
        typed_map_clear(to);
        return err_set(err, code, "JSON: a field: %s", strerror(-code));
    }
    return 0;
}

static int append_field(const struct typed_map *map, const char *key, struct typed_bytes *to, struct err *err)
{
    const struct typed_map_entry *entry = typed_map_find(map, key, strlen(key));
    if (!entry)
        return err_set(err, -ENOENT, "JSON: there is no field %s", key);
    const json_t *value = entry->value;
    if (!json_is_string(value))
        return typed_json_marshal(value, to, err);
    if (typed_bytes_append(to, json_string_value(value), json_string_length(value)) < 0)
        return err_set(err, -ENOMEM, "JSON: no memory for the field %s", key);
    return 0;
}

int typed_json_field(struct typed_map_pool *maps, const char *text, size_t length, const char *key,
                     struct typed_bytes *to, struct err *err)
{
    struct typed_map *map = maps ? typed_map_get(maps) : typed_map_new(TYPED_MAP_ENTRIES, typed_json_release);
    if (!map)
        return maps ? err_set(err, -EAGAIN, "JSON: the pool has no map")
                    : err_set(err, -ENOMEM, "JSON: out of memory");
    int code = typed_json_unmarshal(text, length, map, err);
    if (code == 0)
        code = append_field(map, key, to, err);
    if (maps)
        typed_map_put(maps, map);
    else
        typed_map_delete(map);
    return code;
}
