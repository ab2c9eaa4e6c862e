// SPDX-License-Identifier: Apache-2.0
#include "loadgen/board.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

struct row {
    _Atomic uint64_t sent, warm_up;
    _Atomic int64_t last_ns;
};

struct board {
    size_t bytes; // of the mapping
    struct pattern pattern;
    _Atomic int64_t finished;
    // Followed by the rows of publishers; the messages passed, of all subscribers of the publisher together; the
    // subscribers of each topic.
    _Alignas(64) struct row rows[];
};

static _Atomic int64_t *passed_of(const struct board *board, int64_t publisher)
{
    return (_Atomic int64_t *)(uintptr_t)(board->rows + board->pattern.publishers) + publisher;
}

static _Atomic int64_t *there_of(const struct board *board, int64_t topic)
{
    return passed_of(board, board->pattern.publishers) + topic;
}

int board_open(struct board **board_out, const struct pattern *pattern, struct err *err)
{
    size_t bytes = sizeof(struct board) +
                   (size_t)pattern->publishers * (sizeof(struct row) + sizeof(int64_t)) +
                   (size_t)pattern->topics * sizeof(int64_t);
    struct board *board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return err_set(err, -errno, "cannot map %zu bytes for the counts of %lld publishers: %m", bytes,
                       (long long)pattern->publishers);
    board->bytes = bytes;
    board->pattern = *pattern;
    *board_out = board;
    return 0;
}

void board_close(struct board *board)
{
    if (board)
        munmap(board, board->bytes);
}

void board_reset(struct board *board)
{
    atomic_store_explicit(&board->finished, 0, memory_order_relaxed);
    for (int64_t i = 0; i < board->pattern.publishers; i++) {
        board_set_sent(board, i, &(struct board_sent){0});
        atomic_store_explicit(passed_of(board, i), 0, memory_order_relaxed);
    }
    for (int64_t i = 0; i < board->pattern.topics; i++)
        atomic_store_explicit(there_of(board, i), 0, memory_order_relaxed);
}

void board_set_sent(struct board *board, int64_t publisher, const struct board_sent *sent)
{
    struct row *row = &board->rows[publisher];
    atomic_store_explicit(&row->warm_up, sent->warm_up, memory_order_relaxed);
    atomic_store_explicit(&row->last_ns, sent->last_ns, memory_order_relaxed);
    atomic_store_explicit(&row->sent, sent->sent, memory_order_relaxed);
}

void board_finish(struct board *board, int64_t publishers)
{
    atomic_fetch_add_explicit(&board->finished, publishers, memory_order_release);
}

bool board_finished(const struct board *board)
{
    return atomic_load_explicit(&board->finished, memory_order_acquire) >= board->pattern.publishers;
}

struct board_sent board_sent(const struct board *board, int64_t publisher)
{
    const struct row *row = &board->rows[publisher];
    return (struct board_sent){.sent = atomic_load_explicit(&row->sent, memory_order_relaxed),
                               .warm_up = atomic_load_explicit(&row->warm_up, memory_order_relaxed),
                               .last_ns = atomic_load_explicit(&row->last_ns, memory_order_relaxed)};
}

uint64_t board_passed(const struct board *board, int64_t publisher)
{
    int64_t topic = pattern_topic(&board->pattern, publisher);
    int64_t there = atomic_load_explicit(there_of(board, topic), memory_order_relaxed);
    int64_t passed = atomic_load_explicit(passed_of(board, publisher), memory_order_relaxed);
    return there > 0 && passed > 0 ? (uint64_t)(passed / there) : 0;
}

void board_join(struct board *board, int64_t topic, int64_t subscribers)
{
    atomic_fetch_add_explicit(there_of(board, topic), subscribers, memory_order_relaxed);
}

void board_pass(struct board *board, int64_t publisher, int64_t messages)
{
    atomic_fetch_add_explicit(passed_of(board, publisher), messages, memory_order_relaxed);
}
