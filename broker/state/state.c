// SPDX-License-Identifier: Apache-2.0
#include "broker/state/state.h"

#include "base/clock.h"
#include "broker/state/state_load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_NS = 100 * 1000 * 1000 }; // after a failure

enum { KEPT_ACTS = STATE_WAITING_MOST }; // an empty list with a larger capacity is freed

// Kept for when there is no memory: an act that cannot be noted would be the end of the broker.
enum { SPARE_BYTES = 256 << 10 };

struct act_list {
    struct state_act *acts;
    size_t count, capacity;
};

struct state {
    struct state_options options;
    const char *warning;
    struct state_file file; // of the thread that set is_writing
    pthread_mutex_t retained;
    pthread_mutex_t lock; // guards all below but the atomics
    pthread_cond_t written;
    struct act_list list;  // published
    struct act_list taken; // published before them: being written, or to be tried again
    uint64_t durable;      // acts that are durable, since the start
    bool is_writing;       // a thread writes `taken`, without the lock
    bool is_over;          // acts are dropped
    int64_t retry_ns;      // while it is failing: not before
    struct state_statistics statistics;
    _Atomic bool is_failing, is_lost;
    _Atomic int64_t last_number;
    _Atomic(void *) spare; // NULL: given back to the heap
};

int state_open(struct state **opened, const struct state_options *options, struct err *err)
{
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return err_set(err, -ENOMEM, "out of memory");
    int code = state_file_open(&state->file, options->path, err);
    if (code < 0) {
        free(state);
        return code;
    }
    state->options = *options;
    state->warning = state->file.warning;
    atomic_init(&state->spare, malloc(SPARE_BYTES));
    pthread_mutex_init(&state->retained, NULL);
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->written, NULL);
    *opened = state;
    return 0;
}

int state_read(struct state *state, state_visit *visit, void *context, struct err *err)
{
    int64_t highest;
    int code = state_load(&state->file, visit, context, &highest, err);
    atomic_store_explicit(&state->last_number, highest, memory_order_relaxed); // no other thread runs yet
    return code;
}

int state_start(struct state *state, struct err *err)
{
    return state_file_start(&state->file, state->options.is_full, err);
}

const char *state_warning(const struct state *state)
{
    return state->warning;
}

int64_t state_next_number(struct state *state)
{
    // Relaxed: numbers only have to differ.
    return atomic_fetch_add_explicit(&state->last_number, 1, memory_order_relaxed) + 1;
}

static void release(const struct state *state, const struct state_act *act)
{
    if (act->held)
        state->options.release(act->held);
    else
        free((void *)(uintptr_t)act->text); // the copy of state_note, or NULL
}

static bool give_spare(struct state *state)
{
    void *spare = atomic_exchange_explicit(&state->spare, NULL, memory_order_acq_rel);
    free(spare);
    return spare != NULL;
}

// realloc, which gives the spare back to the heap when there is no memory.
static void *need_memory(struct state *state, void *old, size_t bytes)
{
    void *memory = realloc(old, bytes);
    if (!memory && give_spare(state))
        memory = realloc(old, bytes);
    return memory;
}

// false: no memory. The act is then dropped by the caller.
static bool append(struct state *state, struct act_list *list, const struct state_act *act)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct state_act *acts = need_memory(state, list->acts, capacity * sizeof *acts);
        if (!acts) // it may be long: a smaller step
            acts = need_memory(state, list->acts, (capacity = list->capacity + 64) * sizeof *acts);
        if (!acts)
            return false;
        list->acts = acts;
        list->capacity = capacity;
    }
    list->acts[list->count++] = *act;
    return true;
}

static void lose(struct state *state)
{
    // Relaxed: the only consequence is that no commit succeeds, which takes the lock.
    atomic_store_explicit(&state->is_lost, true, memory_order_relaxed);
}

static bool copy_text(struct state *state, struct state_act *act)
{
    if (act->held || !act->text)
        return true;
    char *copy = need_memory(state, NULL, act->text_bytes ? act->text_bytes : 1);
    if (copy)
        memcpy(copy, act->text, act->text_bytes);
    act->text = copy;
    return copy != NULL;
}

void state_note(struct state_batch *batch, const struct state_act *act)
{
    struct state_act own = *act;
    struct act_list list = {batch->acts, batch->count, batch->capacity};
    if (!copy_text(batch->state, &own)) {
        lose(batch->state);
        return;
    }
    if (!append(batch->state, &list, &own)) {
        lose(batch->state);
        release(batch->state, &own);
        return;
    }
    batch->acts = list.acts;
    batch->count = list.count;
    batch->capacity = list.capacity;
}

static uint64_t published(const struct state *state)
{
    return state->durable + state->taken.count + state->list.count;
}

// Under the lock. Acts that find no memory stay in `acts`, with `count` as they were: the caller releases them
// without the lock.
static size_t append_all(struct state *state, const struct state_act *acts, size_t count)
{
    size_t done = 0;
    while (!state->is_over && done < count && append(state, &state->list, &acts[done]))
        done++;
    if (!state->is_over && done < count)
        lose(state);
    return done;
}

static void free_if_large(struct act_list *list)
{
    if (list->capacity <= KEPT_ACTS)
        return;
    free(list->acts);
    *list = (struct act_list){0};
}

void state_publish(struct state_batch *batch)
{
    struct state *state = batch->state;
    if (batch->count == 0)
        return;
    pthread_mutex_lock(&state->lock);
    size_t done = append_all(state, batch->acts, batch->count);
    batch->mark = published(state);
    pthread_mutex_unlock(&state->lock);
    size_t count = batch->count;
    batch->count = 0;
    for (; done < count; done++)
        release(state, &batch->acts[done]);
    struct act_list list = {batch->acts, 0, batch->capacity};
    free_if_large(&list);
    batch->acts = list.acts;
    batch->capacity = list.capacity;
}

void state_publish_now(struct state *state, struct state_batch *batch, const struct state_act *acts,
                       size_t count)
{
    enum { MOST = 2 };
    struct state_act own[MOST] = {{0}};
    size_t copied = 0;
    for (; copied < count && copied < MOST; copied++) {
        own[copied] = acts[copied];
        if (!copy_text(state, &own[copied])) {
            lose(state);
            break;
        }
    }
    pthread_mutex_lock(&state->lock);
    size_t done = append_all(state, own, copied);
    if (batch)
        batch->mark = published(state);
    pthread_mutex_unlock(&state->lock);
    for (; done < copied; done++)
        release(state, &own[done]);
}

void state_free_batch(struct state_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        release(batch->state, &batch->acts[i]);
    free(batch->acts);
    *batch = (struct state_batch){.state = batch->state};
}

void state_lock_retained(struct state *state)
{
    pthread_mutex_lock(&state->retained);
}

void state_unlock_retained(struct state *state)
{
    pthread_mutex_unlock(&state->retained);
}

static void note_failure(struct state *state, int code)
{
    if (!state_is_failing(state)) {
        state->statistics.failures++;
        state->statistics.reason = sqlite3_errstr(code);
    }
    // Relaxed: work that is noted in the meantime is not acknowledged either.
    atomic_store_explicit(&state->is_failing, true, memory_order_relaxed);
    state->retry_ns = clock_now_ns() + RETRY_NS;
}

static void note_success(struct state *state)
{
    state->durable += state->taken.count;
    state->statistics.transactions++;
    state->statistics.acts += (int64_t)state->taken.count;
    state->taken.count = 0;
    free_if_large(&state->taken);
    atomic_store_explicit(&state->is_failing, false, memory_order_relaxed);
    if (!atomic_load_explicit(&state->spare, memory_order_relaxed)) {
        void *none = NULL, *spare = malloc(SPARE_BYTES);
        if (!atomic_compare_exchange_strong_explicit(&state->spare, &none, spare, memory_order_release,
                                                     memory_order_relaxed))
            free(spare);
    }
}

// With the lock, which it gives up while it writes.
static void write_taken(struct state *state)
{
    if (state->taken.count == 0) {
        struct act_list empty = state->taken;
        state->taken = state->list;
        state->list = empty;
    }
    state->is_writing = true;
    size_t count = state->taken.count;
    pthread_mutex_unlock(&state->lock);
    int code = state_file_apply(&state->file, state->taken.acts, count);
    for (size_t i = 0; code == SQLITE_OK && i < count; i++)
        release(state, &state->taken.acts[i]); // may publish the end of a message
    pthread_mutex_lock(&state->lock);
    state->is_writing = false;
    if (code == SQLITE_OK)
        note_success(state);
    else
        note_failure(state, code);
    pthread_cond_broadcast(&state->written);
}

static bool is_lost(const struct state *state)
{
    return atomic_load_explicit(&state->is_lost, memory_order_relaxed);
}

// With the lock.
static bool commit(struct state *state, uint64_t mark)
{
    while (state->durable < mark && !is_lost(state) && !state->is_over) {
        if (state->is_writing)
            pthread_cond_wait(&state->written, &state->lock);
        else if (state_is_failing(state) && clock_now_ns() < state->retry_ns)
            return false;
        else
            write_taken(state);
    }
    return state->durable >= mark && !is_lost(state);
}

bool state_commit(struct state *state, uint64_t mark)
{
    pthread_mutex_lock(&state->lock);
    bool is_durable = commit(state, mark);
    pthread_mutex_unlock(&state->lock);
    return is_durable;
}

bool state_commit_all(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    bool is_durable = commit(state, published(state));
    pthread_mutex_unlock(&state->lock);
    return is_durable;
}

size_t state_waiting(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    size_t waiting = state->taken.count + state->list.count;
    pthread_mutex_unlock(&state->lock);
    return waiting;
}

size_t state_bytes(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    size_t acts = state->taken.capacity + state->list.capacity;
    pthread_mutex_unlock(&state->lock);
    return acts * sizeof(struct state_act);
}

bool state_is_failing(const struct state *state)
{
    return atomic_load_explicit(&state->is_failing, memory_order_relaxed) || is_lost(state);
}

void state_statistics(struct state *state, struct state_statistics *statistics)
{
    pthread_mutex_lock(&state->lock);
    *statistics = state->statistics;
    pthread_mutex_unlock(&state->lock);
}

int state_check(const struct state *state, struct err *err)
{
    if (is_lost(state))
        return err_set(err, -ENOMEM,
                       "--state %s: there was no memory to note a change; the broker ends, and the file has "
                       "all that it acknowledged",
                       state->options.path);
    return 0;
}

static void end(struct state *state, bool is_kept)
{
    pthread_mutex_lock(&state->lock);
    bool was_over = state->is_over;
    state->is_over = true;
    struct act_list lists[] = {state->taken, state->list};
    state->taken = state->list = (struct act_list){0};
    pthread_mutex_unlock(&state->lock);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t at = 0; at < lists[i].count; at++)
            release(state, &lists[i].acts[at]);
        free(lists[i].acts);
    }
    if (!was_over)
        state_file_close(&state->file, is_kept);
}

void state_finish(struct state *state)
{
    // What cannot be written was not acknowledged. A commit may end messages.
    while (!state->is_over && state_waiting(state) > 0 && state_commit_all(state))
        continue;
    end(state, state_is_failing(state));
}

void state_abandon(struct state *state)
{
    end(state, true);
}

void state_close(struct state *state)
{
    if (!state)
        return;
    state_abandon(state);
    free(atomic_load_explicit(&state->spare, memory_order_relaxed));
    pthread_mutex_destroy(&state->retained);
    pthread_mutex_destroy(&state->lock);
    pthread_cond_destroy(&state->written);
    free(state);
}
