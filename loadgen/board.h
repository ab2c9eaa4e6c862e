// SPDX-License-Identifier: Apache-2.0
// What publishers and subscribers in different workers tell each other, in shared memory. For each publisher:
// how many messages it has sent, which a subscriber needs to know its losses. And without a rate: how many of
// them subscribers have passed, which the publisher needs to know when it may send again.
//
// A row of `sent` has one writer, the publisher's worker. It writes before the message leaves, so a subscriber
// that has the message reads a count that includes it. All are relaxed except `finished`, which is a release
// of the counts before it.
//
// The parent opens it before the workers are forked, and resets it before each order to publish.
#ifndef POOLMARK_LOADGEN_BOARD_H
#define POOLMARK_LOADGEN_BOARD_H

#include "base/err.h"
#include "loadgen/pattern.h"

#include <stdbool.h>
#include <stdint.h>

struct board;

// Maps the board. -errno with the text in `err`.
int board_open(struct board **board, const struct pattern *pattern, struct err *err)
    __attribute__((warn_unused_result));
void board_close(struct board *board); // NULL is allowed
void board_reset(struct board *board);

// --- the publisher's side ----------------------------------------------------------------------------------

struct board_sent {
    uint64_t sent;    // messages; the sequence of the next
    uint64_t warm_up; // of these, messages of the warm-up, which come first
    int64_t last_ns;  // sent_ns of the last
};
void board_set_sent(struct board *board, int64_t publisher, const struct board_sent *sent);
void board_finish(struct board *board, int64_t publishers); // so many more will send nothing further

// Messages of this publisher that its subscribers have passed, on the average of those that are connected: that
// have arrived, or that a later one has overtaken. 0 when none is connected.
uint64_t board_passed(const struct board *board, int64_t publisher);

// --- the subscriber's side ---------------------------------------------------------------------------------

void board_join(struct board *board, int64_t topic, int64_t subscribers); // so many more (or fewer) are there
void board_pass(struct board *board, int64_t publisher, int64_t messages);
bool board_finished(const struct board *board); // have all publishers sent their last?
struct board_sent board_sent(const struct board *board, int64_t publisher);

#endif
