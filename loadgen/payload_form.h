// SPDX-License-Identifier: Apache-2.0
// What the messages of a run have in them: bytes of a fixed random text in some size (payload.h), the content of a file
// behind the header, or a template. Each carries the header, and the receiver checks all of each.
//
// A form is set by a scenario's check, prepared before the workers are forked and only read afterwards, by any thread.
// Making a message allocates nothing and makes no system call.
//
//     struct payload_maker maker;
//     payload_maker_open(&maker, &form, 0);
//     const uint8_t *data = payload_make(&maker, &payload, &bytes);     // until the next call
//     payload_form_read(&form, data, bytes, &payload)                    // PAYLOAD_WHOLE
//     payload_maker_close(&maker);
#ifndef POOLMARK_LOADGEN_PAYLOAD_FORM_H
#define POOLMARK_LOADGEN_PAYLOAD_FORM_H

#include "loadgen/payload.h"
#include "loadgen/payload_sizes.h"
#include "loadgen/payload_template.h"

#include <stdbool.h>

enum payload_kind { PAYLOAD_RANDOM, PAYLOAD_FILE, PAYLOAD_TEMPLATE };

struct payload_form {
    bool given; // the rest is set
    enum payload_kind kind;
    struct payload_sizes sizes; // RANDOM
    const char *path;           // FILE, TEMPLATE

    // By payload_form_prepare.
    uint64_t seed;
    uint32_t *table; // RANDOM: PAYLOAD_SIZES_COUNT sizes; NULL: all have `most`
    char *file;
    size_t file_bytes;
    struct payload_template *made; // TEMPLATE
    size_t most;                   // bytes of the longest message
    double mean;
};

// A form by the options of a load: a file, a template, or (both NULL) random text of `sizes`. -EINVAL with the text in
// `err`: both are given. The paths stay the caller's.
int payload_form_choose(struct payload_form *form, const struct payload_sizes *sizes, const char *file,
                        const char *template_file, struct err *err) __attribute__((warn_unused_result));

// About how many bytes a message has; before payload_form_prepare, which reads the file.
int64_t payload_form_guess(const struct payload_form *form);

// -EINVAL with the text in `err`, which names the option. The form is to be freed then, also after an error. A form
// that is not given is left as it is.
int payload_form_prepare(struct payload_form *form, int64_t seed, struct err *err)
    __attribute__((warn_unused_result));
void payload_form_free(struct payload_form *form); // a zeroed one too

// As payload_read. NULL: payload_read.
enum payload_content payload_form_read(const struct payload_form *form, const uint8_t *data, size_t bytes,
                                       struct payload *payload);

struct payload_maker { // one thread
    const struct payload_form *form;
    struct payload_writer writer; // RANDOM
    uint8_t *buffer;              // FILE, TEMPLATE
    size_t bytes;                 // without a form: of each message
};

// Without a form (NULL) messages are random text of `bytes` bytes. -ENOMEM: `maker` is as if closed.
int payload_maker_open(struct payload_maker *maker, const struct payload_form *form, size_t bytes)
    __attribute__((warn_unused_result));
void payload_maker_close(struct payload_maker *maker); // a zeroed one too

// The message is valid until the next call.
const uint8_t *payload_make(struct payload_maker *maker, const struct payload *payload, size_t *bytes);

#endif
