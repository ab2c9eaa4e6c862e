// SPDX-License-Identifier: Apache-2.0
#include "tests/model/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct origin {
    int64_t from; // the state this one was first reached from; -1 for the initial one
    int choice;
};

// All states in the order of discovery, and an open hash table of their numbers.
struct states {
    size_t bytes;
    int64_t count, room, table_room;
    unsigned char *all;
    struct origin *origins;
    int64_t *table; // number + 1; 0: free
};

static void *must(void *block)
{
    if (!block) {
        fputs("explore: out of memory\n", stderr);
        exit(2);
    }
    return block;
}

static void *state_at(const struct states *states, int64_t number)
{
    return states->all + (size_t)number * states->bytes;
}

static uint64_t hash_of(const unsigned char *state, size_t bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, state + i, bytes - i < sizeof word ? bytes - i : sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

static int64_t *place_of(const struct states *states, const void *state)
{
    uint64_t mask = (uint64_t)states->table_room - 1, at = hash_of(state, states->bytes) & mask;
    while (states->table[at] && memcmp(state_at(states, states->table[at] - 1), state, states->bytes) != 0)
        at = (at + 1) & mask;
    return &states->table[at];
}

static void grow(struct states *states)
{
    states->room = states->room ? states->room * 2 : 1 << 14;
    states->all = must(realloc(states->all, (size_t)states->room * states->bytes));
    states->origins = must(realloc(states->origins, (size_t)states->room * sizeof *states->origins));
    free(states->table);
    states->table_room = states->room * 2;
    states->table = must(calloc((size_t)states->table_room, sizeof *states->table));
    for (int64_t i = 0; i < states->count; i++)
        *place_of(states, state_at(states, i)) = i + 1;
}

// Adds a state if it is new.
static void add(struct states *states, const void *state, struct origin origin)
{
    if (states->count == states->room)
        grow(states);
    int64_t *place = place_of(states, state);
    if (*place)
        return;
    memcpy(state_at(states, states->count), state, states->bytes);
    states->origins[states->count] = origin;
    *place = ++states->count;
}

static void print_trace(const struct explore_model *model, const struct states *states, int64_t at, int last)
{
    char text[256];
    int64_t path[1024];
    int length = 0;
    for (int64_t i = at; i >= 0 && length < 1024; i = states->origins[i].from)
        path[length++] = i;
    for (int i = length - 1; i >= 0; i--) {
        int choice = i > 0 ? states->origins[path[i - 1]].choice : last;
        if (choice < 0)
            break;
        model->describe(state_at(states, path[i]), choice, text, sizeof text);
        fprintf(stderr, "  %3d %s\n", length - i, text);
    }
}

// Tries every step from that state; true when there is a violation.
static bool expand(const struct explore_model *model, struct states *states, int64_t at, void *next,
                   bool trace, struct explore_result *result)
{
    int enabled = 0;
    for (int choice = 0; choice < model->choices && !result->violation; choice++) {
        memcpy(next, state_at(states, at), states->bytes);
        if (!model->step(next, choice, &result->violation))
            continue;
        enabled++;
        result->transitions++;
        if (result->violation && trace)
            print_trace(model, states, at, choice);
        if (!result->violation)
            add(states, next, (struct origin){at, choice});
    }
    if (enabled || result->violation)
        return result->violation;
    if (!model->is_final(state_at(states, at), &result->violation) && !result->violation)
        result->violation = "deadlock";
    if (result->violation && trace)
        print_trace(model, states, at, -1);
    return result->violation;
}

bool explore(const struct explore_model *model, const void *initial, bool trace,
             struct explore_result *result)
{
    struct states states = {.bytes = model->bytes};
    void *next = must(malloc(model->bytes));
    *result = (struct explore_result){0};
    add(&states, initial, (struct origin){-1, -1});
    for (int64_t at = 0; at < states.count; at++)
        if (expand(model, &states, at, next, trace, result))
            break;
    result->states = states.count;
    free(next);
    free(states.all);
    free(states.origins);
    free(states.table);
    return !result->violation;
}
