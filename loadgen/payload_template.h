// SPDX-License-Identifier: Apache-2.0
// Messages from a text with variables in it, as emqtt_bench has them:
//
//     %UNIQUE%        64 hexadecimal digits, different for each message; once in every template
//     %SEQUENCE%      the message's number among those of its publisher, from 0
//     %PUBLISHER%     the publisher's number
//     %TIMESTAMP%     when it was sent, in milliseconds since 1970; %TIMESTAMPMS% is the same, %TIMESTAMPUS% has
//                     microseconds and %TIMESTAMPNS% nanoseconds
//
// %UNIQUE% is the header of payload.h, by which the generator knows a message and checks it. The receiver has to find
// it, so it stands before %SEQUENCE% and %PUBLISHER%, or behind both: these have no fixed length. What was received is
// compared with what the template gives for its header, byte for byte. Nothing is allocated for a message.
//
//     {"id":"%UNIQUE%","at":%TIMESTAMPMS%,"number":%SEQUENCE%,"celsius":21.5}
#ifndef POOLMARK_LOADGEN_PAYLOAD_TEMPLATE_H
#define POOLMARK_LOADGEN_PAYLOAD_TEMPLATE_H

#include "base/err.h"
#include "loadgen/payload.h"

#include <stdbool.h>

enum payload_variable {
    PAYLOAD_TEXT,
    PAYLOAD_UNIQUE,
    PAYLOAD_SEQUENCE,
    PAYLOAD_PUBLISHER,
    PAYLOAD_MS,
    PAYLOAD_US,
    PAYLOAD_NS,
};

struct payload_part {
    enum payload_variable variable;
    const char *text; // TEXT
    size_t bytes;     // TEXT
};

enum { PAYLOAD_PARTS_MAX = 64 };

struct payload_template {
    struct payload_part parts[PAYLOAD_PARTS_MAX];
    int count;
    size_t most;        // bytes of the longest message
    size_t unique_away; // bytes of UNIQUE from the beginning, or of its end from the end
    bool from_end;
    int64_t wall_ns; // the wall clock minus the monotonic one, set by the caller
};

// `text` must stay as long as the template. -EINVAL with the text in `err`.
int payload_template_parse(struct payload_template *made, const char *text, size_t bytes, struct err *err)
    __attribute__((warn_unused_result));

// Writes the message, at most `most` bytes, to `to`. Returns its bytes.
size_t payload_template_write(const struct payload_template *made, const struct payload *payload,
                              uint8_t *to);

// As payload_read. Any thread.
enum payload_content payload_template_read(const struct payload_template *made, const uint8_t *data,
                                           size_t bytes, struct payload *payload);

#endif
