// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run_books.h"

// Of the clients and, in steps, of the probes: their connects are in the same histogram.
static struct books_line connects(const struct run *run)
{
    struct tally tally = run->tally;
    int64_t attempted = run->config->connections;
    if (run->probes) {
        fleet_sum(run->probes, &tally);
        attempted += run->config->probes;
        int64_t missing = attempted - tally.count[TALLY_CONNECTED] - tally_failed(&tally);
        tally.failed[REASON_NOT_STARTED] += missing > 0 ? missing : 0;
    }
    int64_t held = hist_count(run->total[LATENCY_CONNECT]);
    return (struct books_line){.source = "connects",
                               .attempted = attempted,
                               .measured = held,
                               .failed = tally_failed(&tally) - tally.failed[REASON_NOT_STARTED],
                               .not_sent = tally.failed[REASON_NOT_STARTED],
                               .unreadable = tally.count[TALLY_CONNECTED] - held};
}

void run_books(struct books *books, const struct run *run)
{
    struct books_line line = connects(run);
    books_add(books, &line);
}
