// SPDX-License-Identifier: Apache-2.0
// The state of the model of the hot pool, and the declarations that its parts share: see hot_waiters.c.
#ifndef POOLMARK_TESTS_MODEL_HOT_MODEL_H
#define POOLMARK_TESTS_MODEL_HOT_MODEL_H

#include "pools/hot/state.h"

#include <stdbool.h>
#include <stddef.h>

enum { THREADS = 3, HOSTS = 2, SLOTS = 6, NOW_NS = 1000000 };

enum mistake {
    MISTAKE_NONE,
    MISTAKE_DEADLINE_FIRST, // at its deadline a waiter does not check whether it was served meanwhile
    MISTAKE_WAKE_ONLY,      // a return makes the connection idle and wakes a waiter, which then looks for it
    MISTAKE_NO_RETRY,       // after a failed open there is no retry
    MISTAKE_SILENT_CLOSE,   // the end of a close notifies no waiter of the room
    MISTAKE_SILENT_OVERDUE, // a late open is not replaced
    MISTAKE_DRAIN_ALONE,    // a drain leaves its waiters waiting
    MISTAKE_OPEN_ALL,       // an open begins although no checkout waits for it any more
    MISTAKES,
};

struct size {
    int threads, hosts, operations; // of each thread
    int total_max, host_max, idle_max;
    bool checks, drains, fail_fast;
};
extern struct size setup; // of the current exploration
extern enum mistake mistake;

enum pc { AT_REST, WAITING, CHECKING, HAS_ONE, DONE };

struct thread {
    enum pc pc;
    int left, host;
    uint64_t ticket;
    struct hot_connection *connection;
    struct hot_waiter waiter;
};

struct small {
    int used;
    struct hot_connection connection;
};
struct big {
    int used;
    _Alignas(16) char bytes[sizeof(struct hot_host) + 16];
};

struct arena {
    struct small connections[SLOTS];
    struct big hosts[HOSTS];
    struct thread threads[THREADS];
};

// --- hot_memory.c: states ---------------------------------------------------------------------------------

// The memory of the functions. `pool` before its waiters never changes; statistics are not part of a state.
extern struct hot_state pool;
extern struct arena arena;
extern struct hot_host *hosts[HOSTS];
extern bool in_step; // memory comes from `arena`

enum {
    POOL_FROM = offsetof(struct hot_state, waiters),
    POOL_BYTES = offsetof(struct hot_state, stats) - POOL_FROM,
    STATE_BYTES = POOL_BYTES + sizeof(struct arena)
};

void save(unsigned char *state);
void restore(const unsigned char *state);
void normalise(void); // values that only grow: equivalent states are one state
void begin(void);     // the first state, by `setup`

// --- hot_steps.c ------------------------------------------------------------------------------------------

enum { OF_A_THREAD = 2, OPEN_WELL = 0, OPEN_FAILS, IS_LATE, CLOSE_ENDS, CHECK_WELL, CHECK_ILL, OF_A_SLOT };
enum { BEGIN_OPEN, BEGIN_CLOSE, BEGIN_CHECK, DRAIN, RETRY, OTHERS };

void claim(bool holds, const char *text);
const char *claims_violated(void); // since the last call; NULL: none
bool step_thread(struct thread *me, int what);
bool step_slot(struct small *slot, int what);
bool step_other(int what);

#endif
