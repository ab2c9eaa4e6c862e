// SPDX-License-Identifier: Apache-2.0
// Explores a small model of threads exhaustively: every state that any interleaving of their steps reaches.
// Breadth first, so that the trace to a violation is a shortest one. A state is an array of bytes without
// padding.
//
//     static const struct explore_model model = {.bytes = sizeof(struct state), .choices = ..., .step = ...};
//     struct explore_result result;
//     if (!explore(&model, &initial, &result)) puts(result.violation);
#ifndef POOLMARK_TESTS_MODEL_EXPLORE_H
#define POOLMARK_TESTS_MODEL_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct explore_model {
    size_t bytes;
    int choices; // steps are numbered from 0; each is tried in each state
    // Does step `choice` in `state`; returns false when the step is not enabled. *violation: the text of a
    // violation.
    bool (*step)(void *state, int choice, const char **violation);
    bool (*is_final)(const void *state,
                     const char **violation); // all work is done, so this state is not a deadlock
    void (*describe)(const void *state, int choice, char *text, size_t text_bytes);
};

struct explore_result {
    int64_t states, transitions;
    const char *violation; // NULL: none in any state
};

// Returns false when a violation was found; with `trace` its trace goes to stderr.
bool explore(const struct explore_model *model, const void *initial, bool trace,
             struct explore_result *result);

#endif
