// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run_books.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// The samples in the histogram that ended.
static int64_t held(const struct books_of *of, enum latency_kind kind)
{
    return hist_count(of->hist[kind]) - of->censored[kind];
}

static struct books_line named(const char *prefix, const char *source)
{
    struct books_line line = {.attempted = 0};
    snprintf(line.source, sizeof line.source, "%s%s", prefix, source);
    return line;
}

// Counts the outcomes of `asked` connects into the line. Gives how many were made.
static int64_t take_connects(struct books_line *line, const struct run *run, const struct tally *tally,
                             int64_t asked)
{
    int64_t failed = tally_failed(tally) - tally->failed[REASON_NOT_STARTED];
    line->attempted += asked;
    line->failed += failed;
    line->unfinished += tally->count[TALLY_CONNECT_UNFINISHED];
    // Only a run that ended early may leave clients out. In any other run a missing client stays missing.
    int64_t missing = asked - tally->count[TALLY_CONNECTED] - tally->count[TALLY_CONNECT_UNFINISHED] - failed;
    line->not_sent += run_is_broken(run) && missing > 0 ? missing : 0;
    return tally->count[TALLY_CONNECTED];
}

// Adds the connects of the clients and, in steps, of the probes. Both are in the same histogram.
static void add_connects(struct books *books, const struct run *run, const struct books_of *of)
{
    struct books_line line = named("", "connects");
    int64_t connected = take_connects(&line, run, &run->tally, run->config->connections - run->config->later);
    connected += take_connects(&line, run, &run->probe_tally, run->probes ? run->config->probes : 0);
    line.measured = held(of, LATENCY_CONNECT);
    line.unreadable = connected - line.measured;
    books_add(books, &line);
}

// `probes`: their arrivals are in the same histogram; NULL: there are none.
static void add_arrivals(struct books *books, const struct books_of *of, const struct tally *probes)
{
    struct tally all = *of->tally;
    if (probes)
        tally_add_arrivals(&all, probes);
    const int64_t *count = all.count, *away = all.away;
    struct books_line line = named(of->prefix, "arrivals");
    line.attempted = count[TALLY_ARRIVAL_DUE];
    line.measured = held(of, LATENCY_ARRIVAL);
    line.lost = away[REASON_TIMEOUT] + away[REASON_STALLED];
    line.failed = tally_away(&all) - line.lost;
    line.not_sent = count[TALLY_ARRIVAL_NOT_SENT];
    line.unfinished = count[TALLY_ARRIVAL_UNFINISHED];
    line.unreadable = count[TALLY_ARRIVED] - line.measured;
    if (line.attempted > 0)
        books_add(books, &line);
}

// Changes of subscriptions. `offset` is 0, or that of UNSUBSCRIBEs.
static void add_changes(struct books *books, const struct books_of *of, const char *source, int offset,
                        enum latency_kind kind)
{
    const int64_t *count = of->tally->count + offset;
    struct books_line line = named(of->prefix, source);
    line.attempted = count[TALLY_ADD_DUE];
    line.measured = held(of, kind);
    line.lost = count[TALLY_ADD_LOST];
    line.failed = count[TALLY_ADD_FAILED];
    line.not_sent = count[TALLY_ADD_NOT_SENT];
    line.unfinished = count[TALLY_ADD_UNFINISHED];
    line.unreadable = count[TALLY_ADDED] - line.measured;
    if (line.attempted > 0)
        books_add(books, &line);
}

static void add_both_changes(struct books *books, const struct books_of *of)
{
    add_changes(books, of, "subacks", 0, LATENCY_SUBSCRIBE);
    add_changes(books, of, "unsubacks", TALLY_REMOVE_DUE - TALLY_ADD_DUE, LATENCY_UNSUBSCRIBE);
}

// Retained messages that were published or removed, their replays, and the messages of these.
static void add_replays(struct books *books, const struct books_of *of)
{
    const int64_t *count = of->tally->count;
    struct books_line retains = named(of->prefix, "retains"), messages = named(of->prefix, "replayed");
    retains.attempted = count[TALLY_RETAIN_DUE];
    retains.measured = count[TALLY_RETAINED];
    retains.lost = count[TALLY_RETAIN_LOST];
    retains.failed = count[TALLY_RETAIN_FAILED];
    retains.not_sent = count[TALLY_RETAIN_NOT_SENT];
    retains.unfinished = count[TALLY_RETAIN_UNFINISHED];
    if (retains.attempted > 0)
        books_add(books, &retains);
    add_changes(books, of, "replays", TALLY_REPLAY_DUE - TALLY_ADD_DUE, LATENCY_REPLAY);
    messages.attempted = count[TALLY_REPLAY_MESSAGE_DUE];
    messages.measured = count[TALLY_REPLAY_MESSAGE_ARRIVED];
    messages.unreadable = count[TALLY_REPLAY_MESSAGE_CORRUPT];
    messages.lost = count[TALLY_REPLAY_MESSAGE_LOST];
    messages.unfinished = count[TALLY_REPLAY_MESSAGE_UNFINISHED];
    if (messages.attempted > 0)
        books_add(books, &messages);
}

static void add_subscribes(struct books *books, const struct books_of *of)
{
    const struct tally *tally = of->tally;
    struct books_line line = named(of->prefix, "subscribes");
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
static void add_slow(struct books *books, const struct books_of *of)
{
    const struct tally *tally = of->tally;
    struct books_line deliveries = named(of->prefix, "slow_deliveries"),
                      recoveries = named(of->prefix, "recoveries");
    deliveries.attempted = tally->count[TALLY_SLOW_DUE];
    deliveries.measured = held(of, LATENCY_DELIVERY_SLOW);
    deliveries.failed = tally->count[TALLY_SLOW_MISSED];
    deliveries.unfinished = tally->count[TALLY_SLOW_UNFINISHED];
    deliveries.unreadable =
        tally->count[TALLY_SLOW_RECEIVED] - deliveries.measured + tally->count[TALLY_SLOW_CORRUPT];
    if (deliveries.attempted > 0)
        books_add(books, &deliveries);
    recoveries.attempted = tally->count[TALLY_RECOVERY_DUE];
    recoveries.measured = held(of, LATENCY_RECOVERY);
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

static void add_publishes(struct books *books, const struct books_of *of)
{
    struct books_line line = named(of->prefix, "publishes");
    line.attempted = tally_measured(of->tally, TALLY_DUE);
    line.measured = tally_measured(of->tally, TALLY_PUBLISHED);
    line.not_sent = tally_measured(of->tally, TALLY_NOT_SENT);
    books_add(books, &line);
}

static void add_deliveries(struct books *books, const struct books_of *of)
{
    const struct tally *tally = of->tally;
    struct books_line line = named(of->prefix, "deliveries");
    line.attempted = tally_measured(tally, TALLY_DELIVERY_DUE);
    line.measured =
        held(of, LATENCY_DELIVERY) + held(of, LATENCY_DELIVERY_BEFORE) + held(of, LATENCY_DELIVERY_AFTER);
    line.lost = tally_measured(tally, TALLY_LOST);
    line.unfinished = tally_measured(tally, TALLY_UNFINISHED);
    line.unreadable =
        tally_measured(tally, TALLY_RECEIVED) - line.measured + tally_measured(tally, TALLY_CORRUPT);
    books_add(books, &line);
}

static void add_acks(struct books *books, const struct books_of *of)
{
    const struct tally *tally = of->tally;
    struct books_line line = named(of->prefix, "acks");
    if (tally->count[TALLY_ACK_DUE] == 0)
        return;
    line.attempted = tally_measured(tally, TALLY_ACK_DUE);
    line.measured = held(of, LATENCY_ACK);
    line.lost = tally_measured(tally, TALLY_UNACKED);
    line.unfinished = tally_measured(tally, TALLY_ACK_UNFINISHED);
    line.unreadable = tally_measured(tally, TALLY_ACKED) - line.measured;
    books_add(books, &line);
}

// What a target must not do with messages that it delivers: both are in the latencies, or in no count of deliveries.
static void note_order(struct run *run, const struct tally *tally)
{
    const char *whose = tally == &run->tally ? "" : "probe ";
    if (tally->count[TALLY_DUPLICATES_EXCLUDED] > 0)
        run_anomaly(run, "duplicates_excluded",
                    "%lld %smessages arrived a second time, and neither publisher nor subscriber have QoS 1: "
                    "at QoS 0 a message "
                    "comes at most once, at QoS 2 exactly once",
                    (long long)tally->count[TALLY_DUPLICATES_EXCLUDED], whose);
    if (tally->count[TALLY_OUT_OF_ORDER] > 0)
        run_anomaly(run, "out_of_order",
                    "%lld %smessages arrived after a later one of the same publisher: the target has to keep "
                    "their order. Their "
                    "latencies count",
                    (long long)tally->count[TALLY_OUT_OF_ORDER], whose);
}

// Adds the messages of a fleet. Those of the warm-up have a line of their own, since they are in no figure.
static void add_messages(struct books *books, struct run *run, const struct books_of *of)
{
    const struct tally *tally = of->tally;
    const char *prefix = of->prefix;
    const int64_t *count = tally->count, *warm = count + (TALLY_WARM_UP - TALLY_DUE);
    if (count[TALLY_DUE] == 0)
        return;
    if (count[TALLY_CORRUPT] > 0)
        run_anomaly(run, "corrupt", "%lld %smessages arrived with other content than was sent",
                    (long long)count[TALLY_CORRUPT], tally == &run->tally ? "" : "probe ");
    if (count[TALLY_MISDELIVERED] > 0)
        run_anomaly(
            run, "misdelivered",
            "%lld %smessages of this run arrived at clients that did not subscribe to them: the target "
            "sent them to the wrong ones. They are in no count of deliveries",
            (long long)count[TALLY_MISDELIVERED], tally == &run->tally ? "" : "probe ");
    note_order(run, tally);
    if (count[TALLY_FOREIGN] > 0)
        run_anomaly(
            run, "foreign",
            "%lld messages of other runs arrived at %sclients of this one: another generator publishes on "
            "the "
            "same topics (--topic, --prefix), or the target kept messages of a run before. They are in no "
            "count of deliveries; the target's time for them is in its CPU time",
            (long long)count[TALLY_FOREIGN], tally == &run->tally ? "" : "probe ");
    add_publishes(books, of);
    add_deliveries(books, of);
    add_acks(books, of);
    // Of pairs one line is enough: a message has one delivery. Otherwise a message not sent is no delivery.
    bool pairs = run->config->pattern.kind == PATTERN_PAIRS && !run->crews;
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

// Figures of another QoS than the record names are no figures of what was asked for.
static void note_qos(struct run *run, const struct tally *tally)
{
    const char *whose = tally == &run->tally ? "" : "probe ";
    for (int asked = 0; asked <= 2; asked++)
        for (int had = 0; had <= 2; had++) {
            const char *what = had < asked ? "qos_lowered" : "qos_raised";
            int64_t granted = tally->count[tally_of_qos(TALLY_GRANTED_OTHER, asked, had)],
                    came = tally->count[tally_of_qos(TALLY_DELIVERED_OTHER, asked, had)];
            if (granted > 0)
                run_anomaly(run, what,
                            "%lld %ssubscriptions asked for QoS %d and the target granted QoS %d: figures of "
                            "what they receive are of that",
                            (long long)granted, whose, asked, had);
            if (came > 0)
                run_anomaly(run, what,
                            "%lld %sdeliveries came at QoS %d where QoS %d was asked for: their times and "
                            "costs are of that",
                            (long long)came, whose, had, asked);
        }
}

// What MQTT leaves no choice in: the topic, the RETAIN flag, and whether there is a session.
static void note_breaches(struct run *run, const struct tally *tally)
{
    const char *whose = tally == &run->tally ? "" : "probe ";
    const int64_t *count = tally->count;
    if (count[TALLY_TOPIC_CHANGED] > 0)
        run_anomaly(
            run, "topic_changed",
            "%lld %smessages arrived under another topic than they were published to. Their latencies "
            "count",
            (long long)count[TALLY_TOPIC_CHANGED], whose);
    if (count[TALLY_RETAIN_CHANGED] > 0)
        run_anomaly(
            run, "retain_changed",
            "%lld %smessages arrived with the wrong RETAIN flag: it is 1 of a message that comes because "
            "of a SUBSCRIBE, and 0 of one that comes to a subscription that is there. Their latencies "
            "count",
            (long long)count[TALLY_RETAIN_CHANGED], whose);
    if (count[TALLY_SESSION_UNASKED] > 0)
        run_anomaly(run, "session_unasked",
                    "%lld %sconnects with a clean session were answered by session present: the target kept "
                    "what it has to discard, or says so. They count as connects with a new session",
                    (long long)count[TALLY_SESSION_UNASKED], whose);
}

void run_books(struct books *books, struct run *run)
{
    add_readings(books, run);
    note_late_readings(run);
    add_file(books, run, "latency_lines", "latency.hlog", &run->log_account);
    add_file(books, run, "memory_lines", "memory.csv", &run->sampler_account.file);
    add_file(books, run, "steps_lines", "steps.csv", &run->steps_account);
    add_file(books, run, "arrivals_lines", "arrivals.csv", &run->arrivals_account);
    // The histograms have the samples of clients and probes together.
    struct books_of all = {"", &run->tally, run->total, run->censored},
                    probes = {"probe_", &run->probe_tally, run->total, run->censored};
    add_connects(books, run, &all);
    add_arrivals(books, &all, run->probes ? &run->probe_tally : NULL);
    add_subscribes(books, &all);
    add_both_changes(books, &all);
    add_replays(books, &all);
    add_messages(books, run, &all);
    add_slow(books, &all);
    add_signs_of_life(books, &run->tally);
    note_qos(run, &run->tally);
    note_breaches(run, &run->tally);
    if (run->probes) {
        note_qos(run, &run->probe_tally);
        note_breaches(run, &run->probe_tally);
    }
    for (int i = 0; i < run->books.count; i++)
        books_add(books, &run->books.lines[i]);
    books->left_out += run->books.left_out;
    if (!run->probes)
        return;
    add_subscribes(books, &probes);
    add_messages(books, run, &probes);
}

void run_books_of(struct run *run, const struct books_of *of, int64_t connects)
{
    const int64_t *count = of->tally->count;
    struct books_line line = named(of->prefix, "connects");
    int64_t connected = take_connects(&line, run, of->tally, connects);
    line.measured = held(of, LATENCY_CONNECT);
    line.unreadable = connected - line.measured;
    if (connects > 0 || connected > 0)
        books_add(&run->books, &line);
    add_arrivals(&run->books, of, NULL);
    add_subscribes(&run->books, of);
    add_both_changes(&run->books, of);
    if (count[TALLY_DUE] > 0)
        add_publishes(&run->books, of);
    if (count[TALLY_DELIVERY_DUE] > 0 || count[TALLY_RECEIVED] > 0)
        add_deliveries(&run->books, of);
    add_acks(&run->books, of);
    add_slow(&run->books, of);
}
