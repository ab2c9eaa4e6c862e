// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run_books.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// The samples in the histogram that ended.
static int64_t held(const struct run *run, enum latency_kind kind)
{
    return hist_count(run->total[kind]) - run->censored[kind];
}

static struct books_line named(const char *prefix, const char *source)
{
    struct books_line line = {.attempted = 0};
    snprintf(line.source, sizeof line.source, "%s%s", prefix, source);
    return line;
}

// Adds the connects of the clients and, in steps, of the probes. Both are in the same histogram.
static void add_connects(struct books *books, const struct run *run)
{
    const struct tally *tallies[] = {&run->tally, &run->probe_tally};
    const int64_t asked[] = {run->config->connections - run->config->later,
                             run->probes ? run->config->probes : 0};
    struct books_line line = named("", "connects");
    int64_t connected = 0;
    for (int i = 0; i < 2; i++) {
        const struct tally *tally = tallies[i];
        line.attempted += asked[i];
        line.failed += tally_failed(tally) - tally->failed[REASON_NOT_STARTED];
        line.unfinished += tally->count[TALLY_CONNECT_UNFINISHED];
        connected += tally->count[TALLY_CONNECTED];
        // Only a run that ended early may leave clients out. In any other run a missing client stays missing.
        int64_t missing = asked[i] - tally->count[TALLY_CONNECTED] - tally->count[TALLY_CONNECT_UNFINISHED] -
                          (tally_failed(tally) - tally->failed[REASON_NOT_STARTED]);
        line.not_sent += run_is_broken(run) && missing > 0 ? missing : 0;
    }
    line.measured = held(run, LATENCY_CONNECT);
    line.unreadable = connected - line.measured;
    books_add(books, &line);
}

static void add_arrivals(struct books *books, const struct run *run)
{
    const int64_t *count = run->tally.count, *away = run->tally.away;
    struct books_line line = named("", "arrivals");
    line.attempted = count[TALLY_ARRIVAL_DUE];
    line.measured = held(run, LATENCY_ARRIVAL);
    line.lost = away[REASON_TIMEOUT] + away[REASON_STALLED];
    line.failed = tally_away(&run->tally) - line.lost;
    line.not_sent = count[TALLY_ARRIVAL_NOT_SENT];
    line.unfinished = count[TALLY_ARRIVAL_UNFINISHED];
    line.unreadable = count[TALLY_ARRIVED] - line.measured;
    if (line.attempted > 0)
        books_add(books, &line);
}

// Changes of subscriptions. `offset` is 0, or that of UNSUBSCRIBEs.
static void add_changes(struct books *books, const struct run *run, const char *source, int offset,
                        enum latency_kind kind)
{
    const int64_t *count = run->tally.count + offset;
    struct books_line line = named("", source);
    line.attempted = count[TALLY_ADD_DUE];
    line.measured = held(run, kind);
    line.lost = count[TALLY_ADD_LOST];
    line.failed = count[TALLY_ADD_FAILED];
    line.not_sent = count[TALLY_ADD_NOT_SENT];
    line.unfinished = count[TALLY_ADD_UNFINISHED];
    line.unreadable = count[TALLY_ADDED] - line.measured;
    if (line.attempted > 0)
        books_add(books, &line);
}

static void add_subscribes(struct books *books, const char *prefix, const struct tally *tally)
{
    struct books_line line = named(prefix, "subscribes");
    line.attempted = tally->count[TALLY_SUBSCRIBE_ASKED];
    line.measured = tally->count[TALLY_SUBSCRIBED];
    line.failed = tally->count[TALLY_SUBSCRIBE_FAILED];
    line.lost = tally->count[TALLY_SUBSCRIBE_LOST];
    line.unfinished = tally->count[TALLY_SUBSCRIBE_UNFINISHED];
    if (line.attempted > 0)
        books_add(books, &line);
}

// Deliveries at slow readers, and their recoveries. What the target did not keep for them is an outcome: it has failed,
// and is no loss.
static void add_slow(struct books *books, const struct run *run)
{
    const struct tally *tally = &run->tally;
    struct books_line deliveries = named("", "slow_deliveries"), recoveries = named("", "recoveries");
    deliveries.attempted = tally->count[TALLY_SLOW_DUE];
    deliveries.measured = held(run, LATENCY_DELIVERY_SLOW);
    deliveries.failed = tally->count[TALLY_SLOW_MISSED];
    deliveries.unfinished = tally->count[TALLY_SLOW_UNFINISHED];
    deliveries.unreadable =
        tally->count[TALLY_SLOW_RECEIVED] - deliveries.measured + tally->count[TALLY_SLOW_CORRUPT];
    if (deliveries.attempted > 0)
        books_add(books, &deliveries);
    recoveries.attempted = tally->count[TALLY_RECOVERY_DUE];
    recoveries.measured = held(run, LATENCY_RECOVERY);
    recoveries.failed = tally->count[TALLY_RECOVERY_FAILED];
    recoveries.unfinished = tally->count[TALLY_RECOVERY_UNFINISHED];
    recoveries.unreadable = tally->count[TALLY_RECOVERED] - recoveries.measured;
    if (recoveries.attempted > 0)
        books_add(books, &recoveries);
}

static void add_signs_of_life(struct books *books, const struct tally *tally)
{
    struct books_line line = named("", "signs_of_life");
    line.attempted = tally->count[TALLY_PROVE_ASKED];
    line.measured = tally->count[TALLY_PROVEN];
    line.failed = tally->count[TALLY_PROVE_FAILED];
    line.lost = tally->count[TALLY_SILENT];
    line.unfinished = tally->count[TALLY_PROVE_UNFINISHED];
    if (line.attempted > 0)
        books_add(books, &line);
}

// Adds the messages of a fleet. Those of the warm-up have a line of their own, since they are in no figure.
static void add_messages(struct books *books, struct run *run, const char *prefix, const struct tally *tally)
{
    const int64_t *count = tally->count, *warm = count + (TALLY_WARM_UP - TALLY_DUE);
    if (count[TALLY_DUE] == 0)
        return;
    if (count[TALLY_CORRUPT] > 0)
        run_anomaly(run, "corrupt", "%lld %smessages arrived with other content than was sent",
                    (long long)count[TALLY_CORRUPT], tally == &run->tally ? "" : "probe ");
    if (count[TALLY_FOREIGN] > 0)
        run_anomaly(
            run, "foreign",
            "%lld messages of other runs arrived at %sclients of this one: another generator publishes on "
            "the "
            "same topics (--topic, --prefix), or the target kept messages of a run before. They are in no "
            "count of deliveries; the target's time for them is in its CPU time",
            (long long)count[TALLY_FOREIGN], tally == &run->tally ? "" : "probe ");
    struct books_line publishes = named(prefix, "publishes");
    publishes.attempted = tally_measured(tally, TALLY_DUE);
    publishes.measured = tally_measured(tally, TALLY_PUBLISHED);
    publishes.not_sent = tally_measured(tally, TALLY_NOT_SENT);
    books_add(books, &publishes);

    struct books_line deliveries = named(prefix, "deliveries");
    deliveries.attempted = tally_measured(tally, TALLY_DELIVERY_DUE);
    deliveries.measured =
        held(run, LATENCY_DELIVERY) + held(run, LATENCY_DELIVERY_BEFORE) + held(run, LATENCY_DELIVERY_AFTER);
    deliveries.lost = tally_measured(tally, TALLY_LOST);
    deliveries.unfinished = tally_measured(tally, TALLY_UNFINISHED);
    deliveries.unreadable =
        tally_measured(tally, TALLY_RECEIVED) - deliveries.measured + tally_measured(tally, TALLY_CORRUPT);
    books_add(books, &deliveries);

    if (count[TALLY_ACK_DUE] > 0) {
        struct books_line acks = named(prefix, "acks");
        acks.attempted = tally_measured(tally, TALLY_ACK_DUE);
        acks.measured = held(run, LATENCY_ACK);
        acks.lost = tally_measured(tally, TALLY_UNACKED);
        acks.unfinished = tally_measured(tally, TALLY_ACK_UNFINISHED);
        acks.unreadable = tally_measured(tally, TALLY_ACKED) - acks.measured;
        books_add(books, &acks);
    }
    // Of pairs one line is enough: a message has one delivery. Otherwise a message not sent is no delivery.
    bool pairs = run->config->pattern.kind == PATTERN_PAIRS;
    struct books_line sent = named(prefix, "warm_up_publishes");
    sent.attempted = warm[TALLY_DUE];
    sent.measured = warm[TALLY_PUBLISHED];
    sent.not_sent = warm[TALLY_NOT_SENT];
    if (sent.attempted > 0 && !pairs)
        books_add(books, &sent);
    struct books_line warm_up = named(prefix, "warm_up_deliveries");
    warm_up.not_sent = pairs ? warm[TALLY_NOT_SENT] : 0;
    warm_up.attempted = warm[TALLY_DELIVERY_DUE] + warm_up.not_sent;
    warm_up.measured = warm[TALLY_RECEIVED];
    warm_up.unreadable = warm[TALLY_CORRUPT];
    warm_up.lost = warm[TALLY_LOST];
    warm_up.unfinished = warm[TALLY_UNFINISHED];
    if (warm_up.attempted > 0)
        books_add(books, &warm_up);
}

// Adds the lines of a file. Late lines are in the file; lost lines count as unreadable.
static void add_file(struct books *books, const struct run *run, const char *source, const char *file,
                     const struct csv_account *account)
{
    if (account->rows == 0)
        return;
    struct books_line line = named("", source);
    line.attempted = account->rows;
    line.measured = account->rows - account->lost;
    line.unreadable = account->lost;
    books_add(books, &line);
    if (account->fate != WRITTEN_WHOLE && run->record)
        record_anomaly(run->record, "file", "%s %s: none of its %lld lines can be relied on", file,
                       written_fate_text(account->fate), (long long)account->rows);
    if (account->failure < 0 && run->record)
        record_anomaly(
            run->record, "disk",
            "%s could not be written for a while (%s): %lld of its lines were written later, %lld are "
            "lost",
            file, strerror(-account->failure), (long long)account->late, (long long)account->lost);
}

static void add_readings(struct books *books, struct run *run)
{
    const struct sampler_account *account = &run->sampler_account;
    if (run->config->watch.count == 0 || account->readings == 0)
        return;
    struct books_line line = named("", "readings");
    line.attempted = account->readings;
    line.measured = account->readings - account->unreadable;
    line.unreadable = account->unreadable;
    books_add(books, &line);
    if (account->error < 0 && account->error != -ESRCH)
        run_anomaly(run, "unreadable",
                    "%lld of %lld readings of the watched processes failed: %s; there the record has no "
                    "figure",
                    (long long)account->unreadable, (long long)account->readings, strerror(-account->error));
}

static void note_late_readings(const struct run *run)
{
    int64_t late_ns = run->sampler_account.late_ns;
    if (late_ns > 0 && run->record)
        record_anomaly(
            run->record, "unsampled",
            "memory and CPU time were not read for %.1f s, in which the generator's main process was "
            "kept from running: memory.csv has no lines of that time, and a reading that was due came "
            "that much later",
            (double)late_ns / 1e9);
}

void run_books(struct books *books, struct run *run)
{
    add_readings(books, run);
    note_late_readings(run);
    add_file(books, run, "latency_lines", "latency.hlog", &run->log_account);
    add_file(books, run, "memory_lines", "memory.csv", &run->sampler_account.file);
    add_file(books, run, "steps_lines", "steps.csv", &run->steps_account);
    add_file(books, run, "arrivals_lines", "arrivals.csv", &run->arrivals_account);
    add_connects(books, run);
    add_arrivals(books, run);
    add_subscribes(books, "", &run->tally);
    add_changes(books, run, "subacks", 0, LATENCY_SUBSCRIBE);
    add_changes(books, run, "unsubacks", TALLY_REMOVE_DUE - TALLY_ADD_DUE, LATENCY_UNSUBSCRIBE);
    add_messages(books, run, "", &run->tally);
    add_slow(books, run);
    add_signs_of_life(books, &run->tally);
    if (!run->probes)
        return;
    add_subscribes(books, "probe_", &run->probe_tally);
    add_messages(books, run, "probe_", &run->probe_tally);
}
