// SPDX-License-Identifier: Apache-2.0
#include "loadgen/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STRIPES_MAX = 4 };

static int map_histograms(struct crew *crew, struct err *err)
{
    size_t bytes = 2 * LATENCY_COUNT * hist_bytes();
    // Zeroed, and a histogram that stays empty takes no memory.
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, -ENOMEM, "out of memory for the histograms of %s", crew->request->name);
    crew->hist_memory = memory;
    crew->hist_memory_bytes = bytes;
    char *at = memory;
    struct hist **sets[] = {crew->interval, crew->hist};
    for (int set = 0; set < 2; set++)
        for (int kind = 0; kind < LATENCY_COUNT; kind++, at += hist_bytes())
            sets[set][kind] = hist_init(at);
    return 0;
}

int crew_open(struct crew *crew, struct err *err)
{
    int stripes = crew->plan.workers < STRIPES_MAX ? crew->plan.workers : STRIPES_MAX;
    int code = latency_shared_open(&crew->latency, stripes, err);
    return code < 0 ? code : map_histograms(crew, err);
}

void crew_close(struct crew *crew)
{
    fleet_close(crew->fleet);
    if (crew->hist_memory)
        munmap(crew->hist_memory, crew->hist_memory_bytes);
    latency_shared_close(crew->latency);
    board_close(crew->board);
    free(crew->places);
    plan_free(&crew->plan);
    *crew = (struct crew){.request = crew->request};
}

static void write_line(const struct crew *crew, const char *phase, enum latency_kind kind,
                       struct hist_log *log, int64_t from_wall_ns, int64_t to_wall_ns)
{
    char tag[CREW_TAG_BYTES];
    snprintf(tag, sizeof tag, "%s.%s.%s", crew->request->name, phase, latency_name(kind));
    (void)hist_log_write(log, tag, from_wall_ns, to_wall_ns, crew->interval[kind]);
}

void crew_take(struct crew *crew, int64_t censored[LATENCY_COUNT])
{
    latency_collect(crew->latency, crew->interval, censored);
}

void crew_collect(struct crew *crew, const char *phase, struct hist_log *log, int64_t from_wall_ns,
                  int64_t to_wall_ns, const int64_t these[LATENCY_COUNT], struct hist *into[LATENCY_COUNT],
                  int64_t censored[LATENCY_COUNT])
{
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        crew->censored[kind] += these[kind];
        censored[kind] += these[kind];
        if (hist_count(crew->interval[kind]) == 0)
            continue;
        if (log && kind != LATENCY_LAG)
            write_line(crew, phase, (enum latency_kind)kind, log, from_wall_ns, to_wall_ns);
        hist_merge(into[kind], crew->interval[kind]);
        hist_merge(crew->hist[kind], crew->interval[kind]);
        hist_reset(crew->interval[kind]);
    }
}

void crew_begin_phase(struct crew *crew)
{
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        hist_reset(crew->hist[kind]);
        crew->censored[kind] = 0;
    }
    crew->before = crew->tally;
}

void crew_phase_tally(const struct crew *crew, struct tally *tally)
{
    const struct tally *before = &crew->before;
    *tally = crew->tally;
    for (int what = 0; what < TALLY_COUNT; what++)
        if (tally_adds_up((enum tally_count)what))
            tally->count[what] -= before->count[what];
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        tally->failed[reason] -= before->failed[reason];
        tally->dropped[reason] -= before->dropped[reason];
        tally->away[reason] -= before->away[reason];
        tally->slow_closed[reason] -= before->slow_closed[reason];
    }
}

// The number of its first subscriber among those of the pattern.
static int64_t first_of(const struct crew *crew)
{
    return crew->place - crew->pattern.publishers;
}

int64_t crew_due(const struct crew *crew)
{
    const struct board *board = crew->setup.board;
    int64_t from = first_of(crew), due = 0;
    if (!board || crew->board || crew->clients == 0) // the board is its own: it sends
        return 0;
    for (int64_t i = 0; i < crew->pattern.publishers; i++)
        due += (int64_t)board_sent(board, i).sent *
               pattern_receivers_among(&crew->pattern, i, from, from + crew->clients);
    return due;
}

bool crew_is_slow(const struct crew *crew)
{
    const struct pattern *pattern = &crew->pattern;
    return pattern->slow > 0 && first_of(crew) >= pattern->subscribers - pattern->slow;
}
