// SPDX-License-Identifier: Apache-2.0
// A text with variables: client identifiers, user names, topics and wills.
//
//     %i        the number of the client, or of the topic
//     %c, %u    the client identifier and the user name of the client
//     %p        the run's prefix (--prefix)
//     %rand_N   a random number from 1 to N, which depends on --seed and on %i
//     %%        a percent sign
//
// A pattern is parsed once. Writing it copies text and numbers and allocates nothing. Any thread may call.
//
//     struct name_pattern pattern;
//     name_pattern_parse(&pattern, "device/%i/state", &err);
//     name_pattern_write(&pattern, &(struct name_values){.number = 7}, text);   // "device/7/state"
#ifndef POOLMARK_LOADGEN_NAME_PATTERN_H
#define POOLMARK_LOADGEN_NAME_PATTERN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum name_variable { NAME_TEXT, NAME_NUMBER, NAME_CLIENT_ID, NAME_USER, NAME_PREFIX, NAME_RANDOM };

struct name_part {
    enum name_variable variable;
    const char *text; // TEXT: points into the text that was parsed
    size_t bytes;     // TEXT
    uint64_t most;    // RANDOM
};

enum { NAME_PARTS_MAX = 32, NAME_NUMBER_BYTES = 20 };

struct name_pattern {
    struct name_part parts[NAME_PARTS_MAX];
    int count;
};

struct name_values {
    const char *client_id, *user, *prefix; // of the variables that the pattern has
    int64_t number;
    uint64_t seed;
};

// `text` must stay as long as the pattern. -EINVAL with the text in `err`: a variable that is none, or too many.
int name_pattern_parse(struct name_pattern *pattern, const char *text, struct err *err)
    __attribute__((warn_unused_result));

bool name_pattern_has(const struct name_pattern *pattern, enum name_variable variable);

// Two values of variables that stand side by side may give the same text as two others: "1" and "12", "11" and "2".
// Does the number stand beside a client identifier or a user name?
bool name_pattern_is_ambiguous(const struct name_pattern *pattern);

// The most bytes that it has when no variable is longer than the value given here.
size_t name_pattern_bytes(const struct name_pattern *pattern, size_t client_id_bytes, size_t user_bytes,
                          size_t prefix_bytes);

// Writes the text, with a NUL behind it. Returns its bytes without the NUL.
size_t name_pattern_write(const struct name_pattern *pattern, const struct name_values *values, char *to);

// Writes a topic filter that all texts of the pattern match: + for each level that differs.
size_t name_pattern_write_filter(const struct name_pattern *pattern, const char *prefix, char *to);

#endif
