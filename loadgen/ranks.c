// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks.h"

#include "base/clock.h"
#include "loadgen/ranks_frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_NS (2 * NS_PER_S) // limit for the measurement of one clock

struct ranks_waiting {
    struct ranks_waiting *next;
    int rank;
    struct ranks_latency head;
    char text[];
};

static void copy_text(char *to, size_t size, const struct link_frame *frame)
{
    snprintf(to, size, "%.*s", (int)(frame->count < size ? frame->count : size - 1),
             frame->count > 0 ? (const char *)frame->bytes : "");
}

// --- latencies ---------------------------------------------------------------------------------------------

static void keep_latency(struct ranks *ranks, const struct link_frame *frame)
{
    struct ranks_latency head;
    if (frame->count < sizeof head)
        return;
    memcpy(&head, frame->bytes, sizeof head);
    size_t bytes = frame->count - sizeof head;
    struct ranks_waiting *kept = malloc(sizeof *kept + bytes + 1);
    if (!kept || head.kind < 0 || head.kind >= LATENCY_COUNT || head.share < 0 ||
        head.share >= ranks->shares.count) {
        free(kept);
        return;
    }
    *kept = (struct ranks_waiting){.rank = frame->rank, .head = head};
    memcpy(kept->text, (const char *)frame->bytes + sizeof head, bytes);
    kept->text[bytes] = '\0';
    *ranks->last = kept;
    ranks->last = &kept->next;
}

// The rank's latencies that waited: adds them, or drops those of a rank that is lost.
static void take_latencies(struct ranks *ranks, int rank, bool add)
{
    struct ranks_waiting **at = &ranks->waiting;
    while (*at) {
        struct ranks_waiting *kept = *at;
        if (kept->rank != rank) {
            at = &kept->next;
            continue;
        }
        // A histogram that cannot be read leaves its samples uncounted, and the books say so.
        int share = kept->head.share, kind = kept->head.kind;
        if (add && hist_merge_encoded(ranks->in[share][kind], kept->text) == 0)
            ranks->censored[share][kind] += kept->head.censored;
        *at = kept->next;
        free(kept);
    }
    ranks->last = at;
}

void ranks_forget_latencies(struct ranks *ranks)
{
    for (int rank = 0; rank < ranks->size; rank++)
        take_latencies(ranks, rank, false);
}

void ranks_collect(struct ranks *ranks, int share, struct hist *into[LATENCY_COUNT],
                   int64_t censored[LATENCY_COUNT])
{
    for (int kind = 0; ranks_lead(ranks) && kind < LATENCY_COUNT; kind++) {
        struct hist *in = ranks->in[share][kind];
        if (hist_count(in) == 0)
            continue;
        hist_merge(into[kind], in);
        hist_reset(in);
        censored[kind] += ranks->censored[share][kind];
        ranks->censored[share][kind] = 0;
    }
}

// --- what comes to rank 0 ----------------------------------------------------------------------------------

static void take_counts(struct ranks *ranks, const struct link_frame *frame)
{
    struct rank_state *of = &ranks->of[frame->rank];
    struct ranks_counts head;
    const char *at = frame->bytes;
    if (!of->shares || frame->count != sizeof head + (size_t)ranks->shares.count * sizeof(struct ranks_told))
        return;
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    for (int share = 0; share < ranks->shares.count; share++, at += sizeof(struct ranks_told)) {
        struct ranks_told told;
        memcpy(&told, at, sizeof told);
        tally_move_clock(&told.tally, -clock_line_at(&of->clock, clock_now_ns()));
        tally_fill(&of->shares[share].counts, &told.tally);
        if (head.of == ranks->number) // of an order before, it is in the figures already
            of->shares[share].due = told.due;
    }
    of->done = head.done;
    take_latencies(ranks, frame->rank, true);
}

static void move(int64_t *time_ns, int64_t by_ns)
{
    if (*time_ns != 0)
        *time_ns += by_ns;
}

static void take_arrivals(struct ranks *ranks, const struct link_frame *frame)
{
    struct ranks_arrivals head;
    if (frame->count < sizeof head)
        return;
    memcpy(&head, frame->bytes, sizeof head);
    int64_t by_ns = -clock_line_at(&ranks->of[frame->rank].clock, clock_now_ns());
    int64_t count = (int64_t)((frame->count - sizeof head) / sizeof *ranks->arrivals);
    if (!ranks->arrivals || head.from < 0 || head.from > ranks->arrival_places ||
        count > ranks->arrival_places - head.from)
        return;
    struct arrival_time *times = ranks->arrivals + head.from;
    memcpy(times, (const char *)frame->bytes + sizeof head, (size_t)count * sizeof *times);
    for (int64_t i = 0; i < count; i++) {
        move(&times[i].intended_ns, by_ns);
        move(&times[i].started_ns, by_ns);
        move(&times[i].ended_ns, by_ns);
    }
}

static void take_clock(struct rank_state *of, const struct link_frame *frame)
{
    struct clock_offset offset;
    of->asked_clock = false;
    if (frame->count != sizeof offset)
        return;
    memcpy(&offset, frame->bytes, sizeof offset);
    if (offset.bound_ns != CLOCK_OFFSET_UNKNOWN)
        clock_line_add(&of->clock, &offset);
}

void ranks_lose(struct ranks *ranks, int rank, const char *why)
{
    struct rank_state *of = &ranks->of[rank];
    if (of->lost)
        return;
    of->lost = true;
    of->asked_clock = false;
    snprintf(of->why, sizeof of->why, "%s", why);
    take_latencies(ranks, rank, false);
    for (int i = 0; of->shares && i < ranks->shares.count; i++) {
        const struct ranks_share *share = &ranks->shares.of[i];
        if (share->division.workers)
            tally_bury(&of->shares[i].counts,
                       division_first(&share->division, share->clients, share->connecting, rank),
                       share->apart);
    }
}

static json_t *json_of(const struct link_frame *frame)
{
    return frame->count > 0 ? json_loadb(frame->bytes, frame->count, 0, NULL) : NULL;
}

// Without memory the curve is on its host alone.
static void keep_curve(struct rank_state *of, const struct link_frame *frame)
{
    char *bytes = frame->count > 0 ? malloc(frame->count) : NULL;
    if (!bytes)
        return;
    memcpy(bytes, frame->bytes, frame->count);
    free(of->curve);
    of->curve = bytes;
    of->curve_bytes = frame->count;
}

static void hear_other(struct ranks *ranks, const struct link_frame *frame)
{
    struct rank_state *of = &ranks->of[frame->rank];
    char text[sizeof of->why];
    if (of->lost)
        return;
    switch (frame->kind) {
    case RANKS_LOST:
        copy_text(text, sizeof text, frame);
        if (of->part)
            break; // it had told everything
        ranks_lose(ranks, frame->rank, text);
        break;
    case RANKS_CLOCK:
        take_clock(of, frame);
        break;
    case RANKS_FACTS:
        json_decref(of->facts);
        of->facts = json_of(frame);
        break;
    case RANKS_READY:
        of->ready = true;
        break;
    case RANKS_LATENCY:
        keep_latency(ranks, frame);
        break;
    case RANKS_ARRIVALS:
        take_arrivals(ranks, frame);
        break;
    case RANKS_COUNTS:
        take_counts(ranks, frame);
        break;
    case RANKS_TROUBLE:
        if (!of->why[0])
            copy_text(of->why, sizeof of->why, frame);
        break;
    case RANKS_CURVE:
        keep_curve(of, frame);
        break;
    case RANKS_PART:
        json_decref(of->part);
        of->part = json_of(frame);
        break;
    default:
        break;
    }
}

// --- what comes to the others ------------------------------------------------------------------------------

static size_t order_bytes(int count)
{
    return sizeof(struct ranks_order) + (size_t)count * sizeof(struct crew_act);
}

static bool is_order(const struct ranks *ranks, const struct ranks_order *order, size_t bytes)
{
    if (order->count < 1 || order->count > CREWS_MAX || bytes != order_bytes(order->count))
        return false;
    for (int i = 0; i < order->count; i++)
        if (order->acts[i].crew < 0 || order->acts[i].crew >= ranks->shares.count)
            return false;
    return memchr(order->phase, '\0', sizeof order->phase) != NULL;
}

static void take_order(struct ranks *ranks, const struct link_frame *frame)
{
    struct ranks_order *order = frame->count >= sizeof *order ? malloc(frame->count) : NULL;
    if (!order)
        return; // rank 0 waits in vain, and says so
    memcpy(order, frame->bytes, frame->count);
    if (!is_order(ranks, order, frame->count)) {
        free(order);
        return;
    }
    free(ranks->order);
    ranks->order = order;
    ranks->halted = false;
}

static void hear_leader(struct ranks *ranks, const struct link_frame *frame)
{
    switch (frame->kind) {
    case RANKS_LOST:
        if (frame->rank == 0 && !ranks->trouble[0])
            snprintf(ranks->trouble, sizeof ranks->trouble, "rank 0 is lost: %.*s", (int)frame->count,
                     frame->count > 0 ? (const char *)frame->bytes : "");
        break;
    case RANKS_ORDER:
        take_order(ranks, frame);
        break;
    case RANKS_HALT:
        ranks->halted = true;
        break;
    case RANKS_REFUSED:
    case RANKS_END:
        ranks->ended = true;
        break;
    case RANKS_OPEN:
        if (frame->count == sizeof ranks->open)
            memcpy(&ranks->open, frame->bytes, sizeof ranks->open);
        break;
    case RANKS_SETTINGS:
        json_decref(ranks->settings);
        ranks->settings = json_of(frame);
        break;
    default:
        break;
    }
}

int ranks_hear(struct ranks *ranks)
{
    static const char gone[] = "the MPI process beside rank %d's generator ended";
    struct link_frame frame;
    int code;
    (void)!link_flush(&ranks->link);
    while ((code = link_next(&ranks->link, &frame)) > 0) {
        if (frame.rank < 0 || frame.rank >= ranks->size)
            continue;
        if (frame.kind == RANKS_ASKED)
            copy_text(ranks->asked, sizeof ranks->asked, &frame);
        else if (ranks->rank == 0)
            hear_other(ranks, &frame);
        else
            hear_leader(ranks, &frame);
    }
    char text[100];
    snprintf(text, sizeof text, gone, ranks->rank);
    for (int rank = 1; code < 0 && ranks->rank == 0 && rank < ranks->size; rank++)
        if (!ranks->of[rank].part) // others had told everything
            ranks_lose(ranks, rank, text);
    if (code < 0 && ranks->rank > 0 && !ranks->trouble[0])
        snprintf(ranks->trouble, sizeof ranks->trouble, "%s", text);
    return code < 0 ? code : 0;
}

// --- rank 0 ------------------------------------------------------------------------------------------------

void ranks_measure_clocks(struct ranks *ranks)
{
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++) {
        struct rank_state *of = &ranks->of[rank];
        if (of->lost || link_send(&ranks->link, RANKS_CLOCK, rank, NULL, 0) < 0)
            continue;
        of->asked_clock = true;
        int64_t until_ns = clock_now_ns() + CLOCK_NS;
        while (of->asked_clock && clock_now_ns() < until_ns && ranks_hear(ranks) == 0)
            if (of->asked_clock)
                link_wait(&ranks->link, NS_PER_MS);
    }
}

int64_t ranks_notice_ns(const struct ranks *ranks)
{
    return ranks_lead(ranks) ? 100 * NS_PER_MS + ranks->size * NS_PER_MS : 0;
}

static void give_to(struct ranks *ranks, int rank, struct ranks_order *given, const struct crew_act acts[])
{
    for (int i = 0; i < given->count; i++)
        given->acts[i].order.at_ns =
            acts[i].order.at_ns + clock_line_at(&ranks->of[rank].clock, acts[i].order.at_ns);
    (void)!link_send(&ranks->link, RANKS_ORDER, rank, given, order_bytes(given->count));
}

void ranks_give(struct ranks *ranks, const char *phase, const struct crew_act acts[], int count,
                int64_t limit_ns)
{
    if (!ranks_lead(ranks))
        return;
    ranks->number++;
    struct ranks_order *given = calloc(1, order_bytes(count));
    if (given) {
        *given = (struct ranks_order){.number = ranks->number, .limit_ns = limit_ns, .count = count};
        snprintf(given->phase, sizeof given->phase, "%s", phase ? phase : "");
        memcpy(given->acts, acts, (size_t)count * sizeof *acts);
    }
    for (int rank = 1; rank < ranks->size; rank++) {
        for (int share = 0; share < ranks->shares.count; share++)
            ranks->of[rank].shares[share].due = 0;
        if (given && !ranks->of[rank].lost)
            give_to(ranks, rank, given, acts);
    }
    free(given);
}

void ranks_halt(struct ranks *ranks)
{
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        if (!ranks->of[rank].lost)
            (void)!link_send(&ranks->link, RANKS_HALT, rank, NULL, 0);
}

int ranks_busy(const struct ranks *ranks)
{
    int busy = 0;
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        busy += !ranks->of[rank].lost && !ranks->of[rank].why[0] && ranks->of[rank].done < ranks->number;
    return busy;
}

void ranks_sum(const struct ranks *ranks, int share, struct tally *sum)
{
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        tally_sum(sum, &ranks->of[rank].shares[share].counts);
}

int64_t ranks_due(const struct ranks *ranks, int share)
{
    int64_t due = 0;
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        due += ranks->of[rank].shares[share].due;
    return due;
}

int ranks_lost(const struct ranks *ranks)
{
    int lost = 0;
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        lost += ranks->of[rank].lost;
    return lost;
}

bool ranks_only_watches(const struct ranks *ranks, int rank)
{
    return json_is_true(json_object_get(ranks->of[rank].facts, "only_watches"));
}

void ranks_tell_open(struct ranks *ranks, int64_t open)
{
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        if (!ranks->of[rank].lost && ranks_only_watches(ranks, rank))
            (void)!link_send(&ranks->link, RANKS_OPEN, rank, &open, sizeof open);
}

const char *ranks_trouble(const struct ranks *ranks, char *text, size_t size)
{
    text[0] = '\0';
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size && !text[0]; rank++)
        if (ranks->of[rank].why[0])
            snprintf(text, size, "rank %d %s: %s", rank, ranks->of[rank].lost ? "was lost" : "cannot go on",
                     ranks->of[rank].why);
    if (ranks && !text[0] && ranks->trouble[0])
        snprintf(text, size, "%s", ranks->trouble);
    return text;
}

// --- ranks above 0 -----------------------------------------------------------------------------------------

void ranks_tell_latency(struct ranks *ranks, int share, enum latency_kind kind, const struct hist *hist,
                        int64_t censored)
{
    if (!ranks || ranks->rank == 0 || hist_count(hist) == 0)
        return;
    char *text = hist_encode(hist);
    struct ranks_latency head = {.censored = censored, .kind = (int32_t)kind, .share = share};
    size_t bytes = text ? strlen(text) : 0;
    char *frame = text ? malloc(sizeof head + bytes) : NULL;
    if (frame) { // without memory rank 0 counts these samples as unreadable
        memcpy(frame, &head, sizeof head);
        memcpy(frame + sizeof head, text, bytes);
        (void)!link_send(&ranks->link, RANKS_LATENCY, 0, frame, sizeof head + bytes);
    }
    free(frame);
    free(text);
}

void ranks_tell_counts(struct ranks *ranks, const struct ranks_told *told)
{
    if (!ranks || ranks->rank == 0)
        return;
    struct ranks_counts head = {.done = ranks->number, .of = ranks->begun};
    size_t bytes = (size_t)ranks->shares.count * sizeof *told;
    char *frame = malloc(sizeof head + bytes);
    if (!frame)
        return; // the next ones have these in them
    memcpy(frame, &head, sizeof head);
    memcpy(frame + sizeof head, told, bytes);
    (void)!link_send(&ranks->link, RANKS_COUNTS, 0, frame, sizeof head + bytes);
    free(frame);
}

void ranks_tell_arrivals(struct ranks *ranks, int64_t from, int64_t count)
{
    struct ranks_arrivals head = {.from = from};
    size_t bytes = (size_t)count * sizeof *ranks->arrivals;
    char *frame = count > 0 ? malloc(sizeof head + bytes) : NULL;
    if (!frame)
        return;
    memcpy(frame, &head, sizeof head);
    memcpy(frame + sizeof head, ranks->arrivals + from, bytes);
    (void)!link_send(&ranks->link, RANKS_ARRIVALS, 0, frame, sizeof head + bytes);
    memset(ranks->arrivals + from, 0, bytes);
    free(frame);
}

void ranks_tell_trouble(struct ranks *ranks, const char *text)
{
    (void)!link_send(&ranks->link, RANKS_TROUBLE, 0, text, strlen(text));
}
