// SPDX-License-Identifier: Apache-2.0
// The state of the model of strategy `slab`, and the declarations that its parts share: see slab_rows.c.
#ifndef POOLMARK_TESTS_MODEL_SLAB_MODEL_H
#define POOLMARK_TESTS_MODEL_SLAB_MODEL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { THREADS = 3, ROUNDS = 2, BUFFERED = 6, OVERFLOW_OBJECT = 6, NONE = 7 };

// Variables that the owners' fast paths share with other threads: written through the writer's store buffer.
enum variable { BUSY, TOP, OPEN, LOCK, ROUND, VARIABLES = ROUND + ROUNDS };

// Mistakes that can be built into the model; MISTAKE_NONE is the protocol as it is.
enum mistake {
    MISTAKE_NONE,
    MISTAKE_MODE_FIRST,     // as in an old version: "nothing is free" is set before the rows are closed, and
                            // puts do not check
    MISTAKE_NO_BARRIER,     // rows are closed without waiting until their owners see it
    MISTAKE_IGNORE_REFUSAL, // as in an old version: the result of membarrier is ignored
    MISTAKE_NO_WAIT,        // no wait until an owner has left the fast path
    MISTAKE_BIT_LATE,       // a row takes objects before its bit says so
    MISTAKE_NO_MOVE,        // a row that begins to hold is not counted as a move
    MISTAKE_LOOK_ONCE,      // no check whether anything moved meanwhile
    MISTAKE_EXPOSED_STAYS,  // a row that no other thread may touch is taken by the next search
    MISTAKES,
};

struct setup {
    int threads, objects, capacity, operations; // of each thread
    bool may_refuse;                            // the barrier may be refused
    enum mistake mistake;
};
extern struct setup setup; // of the current exploration

enum pc {
    CHOOSE,
    GET_ENTER,
    GET_TOP,
    GET_LOW,
    GET_POP,
    GET_LEAVE,
    GET_LEAVE_SLOW,
    KNOWN_NONE,
    KNOWN_MOVES,
    SLOW_LOCK,
    SLOW_LOAD_BIT,
    SLOW_LOAD_MOVE,
    SLOW_LOAD_STORE,
    SLOW_LOAD_DEPOT,
    SLOW_LOAD_CLEAR,
    SLOW_POP,
    SLOW_ARM,
    SLOW_UNLOCK,
    SINGLE_TAKE,
    SINGLE_GROW_LOCK,
    SINGLE_FREE,
    SEARCH_MOVES,
    SEARCH_FREE,
    SEARCH_BITS,
    SEARCH_LOCK,
    SEARCH_CLOSE,
    SEARCH_BARRIER,
    SEARCH_PASSES,
    SEARCH_WAIT,
    SEARCH_GIVE,
    SEARCH_COUNT,
    SEARCH_CLEAR,
    SEARCH_AFTER,
    SEARCH_UNLOCK,
    SEARCH_SAY,
    SEARCH_GROW_UNLOCK,
    PAST_MAX,
    PUT_ENTER,
    PUT_TOP,
    PUT_HIGH,
    PUT_ROUND,
    PUT_PUSH,
    PUT_LEAVE,
    PUT_LEAVE_SLOW,
    PSLOW_LOCK,
    PSLOW_DEPOT,
    PSLOW_DEPOT_MOVE,
    PSLOW_BIT,
    PSLOW_MOVE,
    PSLOW_ROUND,
    PSLOW_PUSH,
    PSLOW_ARM,
    PSLOW_UNLOCK,
    PSINGLE_GIVE,
    PSINGLE_MOVE,
    PUT_DONE,
    TRIM_GROW_LOCK,
    TRIM_DRAIN,
    TRIM_GIVE,
    EXIT_LOCK,
    EXIT_GIVE,
    EXIT_COUNT,
    EXIT_CLEAR,
    EXIT_UNLOCK,
    ENDED,
};

// State of an object as its users see it: the ghost, which the claims are about.
enum { FREE, USED, PUTTING }; // PUTTING + t: being put by thread t

struct thread {
    unsigned char pc, left;         // operations that it may still begin
    unsigned char held[2];          // objects, or NONE
    unsigned char object, top;      // the object in hand; `top` as the fast path read it
    unsigned char before, after;    // moves
    unsigned char bits, locked, at; // rows to look at; rows locked; the current row
    unsigned char found, passes, none;
    unsigned char trims; // the search is for trim
    unsigned char buffered, buffer[BUFFERED];
    unsigned char saw_none, excused; // during this get: no object was free; an object was out of reach
};

struct state {
    unsigned char memory[THREADS][VARIABLES];
    struct thread threads[THREADS];
    unsigned char store, depot[3], depot_count; // a bit for each object; a magazine is such bits
    unsigned char holding, moves, none_since, grow_lock, fenced;
    unsigned char holds, exposed, without; // a bit for each row, under its lock
    unsigned char ghost[6];
};
_Static_assert(_Alignof(struct state) == 1, "states are compared byte by byte");

#define BIT(n) ((unsigned char)(1u << (n)))

// --- slab_memory.c: claims, memory with delayed visibility, and small parts -------------------------------

void claim(bool holds, const char *otherwise);
const char *claims_violated(void); // since the last call; NULL: none
unsigned char load(const struct state *s, int t, int row, int variable);
bool can_write(const struct state *s, int t);
void write_to(struct state *s, int t, int row, int variable, unsigned value);
bool flush_one(struct state *s, int t);
bool drained(const struct state *s, int t);
bool lock_row(struct state *s, int t, int row);
void watch(struct state *s);
void is_got(struct state *s, int object);
void is_put(struct state *s, int t, int object);
unsigned char lowest(unsigned char set);
unsigned char objects_of(const struct state *s, int row);
void give(struct state *s, unsigned char set);
bool in_store_or_depot(const struct state *s);
void load_row(struct state *s, int t, unsigned char set);
void next_operation(struct thread *me);
void got(struct state *s, int t, unsigned char object);

// --- slab_get.c ------------------------------------------------------------------------------------------

enum { DO_GET, DO_PUT_0, DO_PUT_1, DO_TRIM, DO_EXIT, OPERATIONS };

bool choose(struct state *s, int t, int operation);
bool step_get_hot(struct state *s, int t);
bool step_get_slow(struct state *s, int t);
bool step_single(struct state *s, int t);
bool begin_slow(struct state *s, int t);
bool goes_without(struct state *s, int t);
bool arm(struct state *s, int t);

// --- slab_put.c ------------------------------------------------------------------------------------------

bool step_put_hot(struct state *s, int t);
bool step_put_slow(struct state *s, int t);

// --- slab_search.c: taking rows back, trim, the end of a thread ------------------------------------------

bool step_search_rows(struct state *s, int t);
bool step_search(struct state *s, int t);
bool step_barrier(struct state *s, int t, bool refused);
bool step_trim(struct state *s, int t);
bool step_exit(struct state *s, int t);

#endif
