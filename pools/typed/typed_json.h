// SPDX-License-Identifier: Apache-2.0
// JSON (jansson) into and out of typed buffers and maps, which may be of a pool or not. The text and the map
// come from the pool; what jansson builds while it reads or writes does not. docs/benchmarks.md says what is
// left.
//
//     struct typed_bytes *text = typed_bytes_get(buffers);
//     if (typed_json_marshal(document, text, &err) < 0) ...  // text->data, text->length
//
// Thread-safe on distinct buffers and maps.
#ifndef POOLMARK_POOLS_TYPED_TYPED_JSON_H
#define POOLMARK_POOLS_TYPED_TYPED_JSON_H

#include "pools/typed/typed_bytes.h"
#include "pools/typed/typed_map.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

// The release of a map whose values are json_t: each value is a reference.
void typed_json_release(void *value);

// Appends `value` as compact text. 0; -ENOMEM, -EINVAL (a value that JSON cannot have, a circle): the buffer
// is as it was, apart from its capacity.
int typed_json_marshal(const json_t *value, struct typed_bytes *to, struct err *err)
    __attribute__((warn_unused_result));

// Reads a JSON object: its keys and values (json_t) become the entries of `to`, whose release must be
// typed_json_release, and which is cleared first. -EINVAL: no JSON, no object, a key twice (`err` says
// where); -ENAMETOOLONG: a key; -ENOMEM. The map is empty then.
int typed_json_unmarshal(const char *text, size_t length, struct typed_map *to, struct err *err)
    __attribute__((warn_unused_result));

// Appends one field of a JSON object to `to`: of a string its characters, of another value its JSON text.
// With `maps` (values released by typed_json_release) the object is read into a map of that pool; with NULL
// into one that is made and freed. As typed_json_unmarshal; -ENOENT: no such field; -EAGAIN: the pool gave
// no map.
int typed_json_field(struct typed_map_pool *maps, const char *text, size_t length, const char *key,
                     struct typed_bytes *to, struct err *err) __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
