// SPDX-License-Identifier: Apache-2.0
// The state of a broker that survives its end: acts that threads note, and transactions that make them durable.
//
// Each loop notes acts in a batch of its own. It publishes the batch when the acts are complete: those of one
// packet become durable together or not at all. Before the loop sends anything, it commits. A commit makes
// durable what all loops have published so far, in the order of publishing: one transaction for all. Loops that
// commit meanwhile wait for it, and then need none of their own, or one for all that came meanwhile.
//
// A transaction that fails changes nothing. Its acts are kept and tried again, before any later act. Until then
// no commit succeeds, and state_is_failing says that new work is to be refused. Some memory is kept for acts that
// find none. When that is used up too, the state is lost: no commit succeeds any more, and the broker has to end (state_check). What it acknowledged is
// in the file.
//
//     struct state *state;
//     if (state_open(&state, &options, &err) < 0 || state_read(state, visit, context, &err) < 0 ||
//         state_start(state, &err) < 0) ...
//     struct state_batch batch = {.state = state};
//     state_note(&batch, &(struct state_act){.kind = STATE_AWAY, .session = 7, .value = now});
//     state_publish(&batch);
//     if (state_commit(state, batch.mark)) ...acknowledge...
//     state_finish(state);
//     state_close(state);
//
// Threads: any may call, but a batch belongs to one. One mutex guards the list of published acts; a second one,
// taken first, the order of retained messages.
#ifndef POOLMARK_BROKER_STATE_STATE_H
#define POOLMARK_BROKER_STATE_STATE_H

#include "base/err.h"
#include "broker/state/state_act.h"

#include <stddef.h>

struct state;

struct state_options {
    const char *path;
    bool is_full;                // state_file_start
    void (*release)(void *held); // of an act, when it is durable or dropped. Any thread, without a lock
};

enum {
    STATE_WAITING_MOST = 4096, // with so many acts waiting, a loop commits even if it has nothing to send
    STATE_OWN_BYTES = 8 << 20, // what SQLite and the lists of acts take, beside messages
};

// 0, or -errno of state_file_open with the text in `err`. `path` must outlive the state.
int state_open(struct state **state, const struct state_options *options, struct err *err)
    __attribute__((warn_unused_result));

// Reads the file (state_load). Before the first act.
int state_read(struct state *state, state_visit *visit, void *context, struct err *err)
    __attribute__((warn_unused_result));

// Acts may be committed from here on. Writes the file: not before all that may refuse it. 0, or -errno of state_file_start.
int state_start(struct state *state, struct err *err) __attribute__((warn_unused_result));

// What the file lost before it was opened: one static sentence; NULL: nothing is known. Any thread.
const char *state_warning(const struct state *state);

int64_t state_next_number(struct state *state); // the next one of the sequence, from 1

struct state_batch {
    struct state *state;
    struct state_act *acts;
    size_t count, capacity;
    uint64_t mark; // the batch's owner depends on all acts up to here (state_commit)
};

// Appends an act. Takes over act->held. With held NULL the text is copied; then there may be no payload.
void state_note(struct state_batch *batch, const struct state_act *act);

// Publishes the acts of the batch and empties it.
void state_publish(struct state_batch *batch);

// Publishes acts at once, before those of the batch. For acts whose order matters to other loops. `batch` NULL:
// nobody depends on them.
void state_publish_now(struct state *state, struct state_batch *batch, const struct state_act *acts,
                       size_t count);

void state_free_batch(struct state_batch *batch); // drops acts that were not published

// Held while a retained message is replaced and its act is published.
void state_lock_retained(struct state *state);
void state_unlock_retained(struct state *state);

// Makes all acts up to `mark` durable. false: they could not be written.
bool state_commit(struct state *state, uint64_t mark);
bool state_commit_all(struct state *state);
size_t state_waiting(struct state *state); // acts published and not durable
size_t state_bytes(struct state *state);   // of the lists of such acts, without their texts. Any thread

bool state_is_failing(const struct state *state);

struct state_statistics {
    int64_t transactions; // written
    int64_t acts;         // in them
    int64_t failures;     // times that writing began to fail
    const char *reason;   // static text of the last failure; NULL: none
};
void state_statistics(struct state *state, struct state_statistics *statistics);

// 0, or -ENOMEM with the text in `err` when the state is lost.
int state_check(const struct state *state, struct err *err) __attribute__((warn_unused_result));

// Commits, moves the log into the file and closes it. Later acts are dropped.
void state_finish(struct state *state);
// The same without a commit or any other write: what was not durable is dropped.
void state_abandon(struct state *state);
void state_close(struct state *state); // finished or abandoned; NULL is allowed

#endif
