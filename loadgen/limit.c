// SPDX-License-Identifier: Apache-2.0
#include "loadgen/limit.h"

#include "base/clock.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define KEPT 0.99         // share of the requested rate
#define LATE_NS NS_PER_MS // as the anomaly `late`
#define FULL 0.9          // a thread that ran or waited for so much of the time had none to spare
#define CROWDED 0.1       // a thread that waited so much for a CPU would have done more with one
#define STARVED 0.25      // and one that waited so much may have missed what it was to read
#define NO_CPU 0.05       // CPUs that were idle for less than this had nothing left for who waited
#define EXPLAINS 0.5      // of the time that is missing

// Of each kind: its acts, one of them, and what becomes of one.
static const struct {
    const char *acts, *one, *begun, *made;
} words[LOAD_KINDS] = {
    [LOAD_MESSAGES] = {"messages", "message", "sent", "arrived"},
    [LOAD_CONNECTS] = {"connects", "connect", "begun", "succeeded"},
    [LOAD_ARRIVALS] = {"arrivals", "arrival", "begun", "succeeded"},
    [LOAD_CHANGES] = {"changes of subscriptions", "change of a subscription", "sent", "were answered"},
};

const char *limit_kind_name(enum load_kind kind)
{
    static const char *const names[] = {[LOAD_MESSAGES] = "messages",
                                        [LOAD_CONNECTS] = "connects",
                                        [LOAD_ARRIVALS] = "arrivals",
                                        [LOAD_CHANGES] = "changes"};
    return names[kind];
}

const char *limit_name(enum limit_by by)
{
    static const char *const names[] = {[LIMIT_NONE] = "none",
                                        [LIMIT_GENERATOR] = "generator",
                                        [LIMIT_TARGET] = "target",
                                        [LIMIT_HOST] = "host",
                                        [LIMIT_UNKNOWN] = "unknown"};
    return names[by];
}

__attribute__((format(printf, 3, 4))) static void say(struct limit *limit, enum limit_by by,
                                                      const char *format, ...)
{
    limit->by = by;
    va_list args;
    va_start(args, format);
    vsnprintf(limit->why, sizeof limit->why, format, args);
    va_end(args);
}

// The limit is the generator, or the host that it shares.
static void blame_this_side(struct limit *limit, const struct limit_facts *facts, bool late)
{
    if (facts->waited >= CROWDED)
        say(limit, LIMIT_HOST,
            "a worker was ready to run and had no CPU for %.0f %% of the time, and ran for %.0f %%",
            facts->waited * 100, facts->ran * 100);
    else if (late && facts->ran < FULL && facts->stalled > 0)
        say(limit, LIMIT_GENERATOR,
            "a worker ran for %.0f %% of the time and was late; one was kept from running for %.2g %%",
            facts->ran * 100, facts->stalled * 100);
    else
        say(limit, LIMIT_GENERATOR, "a worker ran for %.0f %% of the time%s", facts->ran * 100,
            late && facts->ran < FULL ? " and was late all the same" : "");
}

// Had a worker no time to spare, though what it sent was sent in time? Then what it did not read is not the target's.
static bool is_this_side(struct limit *limit, const struct limit_facts *facts, bool late)
{
    if (facts->unread >= CROWDED)
        say(limit, LIMIT_GENERATOR,
            "workers had not read all that the target had sent: bytes of %.0f %% of the missing messages "
            "were "
            "in their sockets",
            fmin(facts->unread, 1) * 100);
    else if (facts->stalled >= CROWDED && facts->waited < CROWDED)
        say(limit, LIMIT_GENERATOR,
            "a worker was kept from running (stopped, or its machine was) for %.0f %% of the time",
            facts->stalled * 100);
    else if (facts->stalled >= CROWDED || facts->ran + facts->waited >= FULL ||
             (facts->asked_per_s > 0 && facts->waited >= STARVED))
        blame_this_side(limit, facts, late);
    else
        return false;
    return true;
}

// The limit is the target, or the host, where that left it no CPU or kept its clients waiting. Of a target that stood still
// nobody knows.
__attribute__((format(printf, 3, 4))) static void
blame_that_side(struct limit *limit, const struct limit_facts *facts, const char *format, ...)
{
    if (facts->target_stopped >= CROWDED) {
        say(limit, LIMIT_UNKNOWN,
            "the target was stopped, held by a debugger or frozen for about %.0f %% of the time",
            facts->target_stopped * 100);
        return;
    }
    if (facts->queue_full) {
        say(limit, LIMIT_HOST,
            "the kernel dropped SYNs at a full accept queue (a listener's backlog), and clients tried again "
            "after a "
            "second or more");
        return;
    }
    // A target that had a CPU all the time was not kept from more by those that waited.
    if (facts->waited >= CROWDED && facts->target_ran < FULL && facts->idle >= 0 && facts->idle < NO_CPU &&
        facts->target_waited < CROWDED) {
        say(limit, LIMIT_HOST,
            "no CPU was idle (%.0f %% of their time): the busiest worker ran for %.0f %% of the time, and "
            "was "
            "ready and had no CPU for %.0f %%",
            facts->idle * 100, facts->ran * 100, facts->waited * 100);
        return;
    }
    if (facts->target_waited >= CROWDED) {
        say(limit, LIMIT_HOST,
            "the target's busiest thread was ready to run and had no CPU for %.0f %% of the time, and ran "
            "for "
            "%.0f %%",
            facts->target_waited * 100, facts->target_ran * 100);
        return;
    }
    limit->by = LIMIT_TARGET;
    va_list args;
    va_start(args, format);
    vsnprintf(limit->why, sizeof limit->why, format, args);
    va_end(args);
}

// Acts that were begun in time were not had: the target, but where its clients were gone.
static void judge_answers(struct limit *limit, const struct limit_facts *facts)
{
    if (facts->not_sent > 0 && facts->kind == LOAD_MESSAGES)
        say(limit, LIMIT_UNKNOWN,
            "%.0f messages were due and not sent: their clients were gone, or their sockets took no more",
            facts->not_sent);
    else if (is_this_side(limit, facts, false))
        ;
    else if (facts->not_sent > 0)
        blame_that_side(limit, facts,
                        "%.0f %s were due while the client's before was not answered, or while it was gone; "
                        "%.4g of %.4g "
                        "a second %s",
                        facts->not_sent, words[facts->kind].acts, facts->had_per_s, facts->asked_per_s,
                        words[facts->kind].made);
    else
        blame_that_side(limit, facts, "%s were %s in time, and %.4g of %.4g a second %s",
                        words[facts->kind].acts, words[facts->kind].begun, facts->had_per_s,
                        facts->asked_per_s, words[facts->kind].made);
}

// The rate was not had, or none was asked for.
static void judge_missing(struct limit *limit, const struct limit_facts *facts, bool paced, bool late)
{
    bool known = facts->ran + facts->waited > 0;
    if (facts->failed_here > 0 && facts->failed_here >= facts->due * (1 - KEPT))
        say(limit, LIMIT_HOST, "%.0f of %.0f %s failed here: %s", facts->failed_here, facts->due,
            words[facts->kind].acts, facts->why_failed);
    else if (paced && !late)
        judge_answers(limit, facts);
    else if (is_this_side(limit, facts, late))
        ;
    else if (!paced && facts->waits && !facts->queue_full)
        say(limit, LIMIT_UNKNOWN, "clients waited before they tried (--backoff), which is in the time too");
    else if (!known && facts->brief)
        say(limit, LIMIT_UNKNOWN, "the time of the %s was too short to tell how busy the workers were",
            words[facts->kind].acts);
    else if (!known)
        say(limit, LIMIT_UNKNOWN, "this kernel does not say how busy the workers were");
    else if (late)
        blame_this_side(limit, facts, late);
    else
        blame_that_side(
            limit, facts,
            "the busiest worker ran for %.0f %% of the time, waited for a CPU for %.0f %%, and for the "
            "target in "
            "the rest",
            facts->ran * 100, facts->waited * 100);
}

// Late acts explain a rate that was not had only if they were late by as much as is missing: at the end of so long a time a
// generator that makes 7 of 10 acts is late by three tenths of it.
static bool is_late(const struct limit_facts *facts)
{
    if (!(facts->asked_per_s > 0))
        return false;
    double missing = fmax(0, 1 - facts->had_per_s / facts->asked_per_s);
    return facts->lag_p99_ns > LATE_NS &&
           (double)facts->lag_p99_ns >= missing * (double)facts->took_ns * EXPLAINS;
}

void limit_judge(struct limit *limit, const struct limit_facts *facts)
{
    bool paced = facts->asked_per_s > 0, late = is_late(facts);
    bool kept = paced && (facts->in_time || facts->had_per_s >= facts->asked_per_s * KEPT);
    if (paced && facts->none_due)
        say(limit, LIMIT_UNKNOWN, "no %s was due", words[facts->kind].one);
    else if (kept && !facts->late_receiver)
        say(limit, LIMIT_NONE, "the rate was kept");
    // All came, and later than the target had sent it.
    else if (kept) {
        if (!is_this_side(limit, facts, late))
            blame_this_side(limit, facts, late);
    } else
        judge_missing(limit, facts, paced, late);
}
