// SPDX-License-Identifier: Apache-2.0
#include "loadgen/costs.h"

#include "loadgen/withheld.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    ONE_IN = 20,              // the part of a figure that may be of something else
    STRANGERS_ONE_IN = 100,   // connections of others beside ours: each may do more than one of ours
    STRANGE_BYTES = 64 << 10, // so many are those of a monitor
    MONITOR_BYTES_PER_S = 32 << 10,
    ACT_BYTES = 64,      // an act carries about so many at least
    UNTRACED_ONE_IN = 4, // fewer that left no trace may be of any program: they are told
    STRANGERS_MOST = 16, // so many are monitors, or files of the target
};

const struct cost_words costs_of_connections = {"memory, CPU time and kernel memory of a connection have",
                                                "clients failed, or lost their connection,", "that stayed",
                                                "Ask for no more connections than the target takes"};
const struct cost_words costs_of_arrivals = {
    "CPU time of an arrival has", "connects of clients that come (back) failed, or connections were lost,",
    "arrivals", "Ask for no more arrivals than the target takes"};
const struct cost_words costs_of_changes = {
    "CPU time of a change of subscriptions has", "changes were refused or not answered, or clients lost,",
    "that were made", "Ask for no more subscriptions than the target takes"};
const struct cost_words costs_of_messages = {"CPU time of a message has",
                                             "deliveries did not come, or came twice,", "that came once",
                                             "Ask for a rate that the target can keep"};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Connections of others that were there before, and have ended. Where the list does not tell, the target's descriptors do, if
// none of ours had ended before: those may be closed late.
static int64_t left_between(const struct sample *from, const struct sample *to, int64_t more_descriptors)
{
    const struct census_reading *first = &from->census, *last = &to->census;
    bool listed = first->own_bytes >= 0 && last->own_bytes >= 0;
    if (listed || first->opened < 0 || first->ended > 0 || more_descriptors >= 0)
        return last->left - first->left;
    return -more_descriptors;
}

// How many came and ended while nobody listened to the ends: those that are there have been listed.
static int64_t passing_between(const struct census_reading *first, const struct census_reading *last,
                               int64_t opened)
{
    bool listed = first->own_bytes >= 0 && last->own_bytes >= 0;
    bool heard = last->heard - first->heard == last->parts - first->parts;
    int64_t passing = opened - (last->came - first->came);
    return listed && !heard && passing > 0 ? passing : 0;
}

// Of those that listeners took beyond what the list has at the target's ports: those that it has nowhere. It has each connection
// for a minute after its end, unless that was a reset.
static int64_t resets_between(const struct census_reading *first, const struct census_reading *last,
                              int64_t more)
{
    int64_t resets = more - (last->elsewhere - first->elsewhere) - (last->outside - first->outside);
    return first->listed && last->listed && resets > 0 ? resets : 0;
}

struct cost_part costs_between(const struct sample *from, const struct sample *to)
{
    struct cost_part part = {.cpu_ns = -1, .took_ns = to->at_ns - from->at_ns};
    if (from->target_cpu_ns >= 0 && to->target_cpu_ns >= 0)
        part.cpu_ns = to->target_cpu_ns - from->target_cpu_ns;
    if (from->target_descriptors >= 0 && to->target_descriptors >= 0)
        part.more_descriptors =
            to->target_descriptors - from->target_descriptors - (to->connections - from->connections);
    const struct census_reading *first = &from->census, *last = &to->census;
    int64_t begun = last->begun - first->begun;
    if (first->opened >= 0 && last->opened >= 0) {
        part.opened = last->at_target - first->at_target - begun;
        int64_t strange = last->strange - first->strange - (last->passed - first->passed);
        if (first->strange >= 0 && last->strange >= 0 && strange > part.opened)
            part.opened = strange;
        int64_t more = last->opened - first->opened - begun, traced = part.opened > 0 ? part.opened : 0;
        bool heard = last->parts > first->parts && last->heard - first->heard == last->parts - first->parts;
        if (heard) {
            // Those at the target that were reset are known too. All others were taken by other programs.
            int64_t reset = least(more, last->went - first->went) - traced;
            part.opened = reset > 0 ? traced + reset : part.opened;
        } else {
            // Nothing came at other ports, and much beside ours: what left no trace, as a reset, counts as the target's.
            if (first->listed && last->listed && last->elsewhere == first->elsewhere &&
                last->outside == first->outside && more * UNTRACED_ONE_IN > begun && more > traced)
                part.untraced = more - traced;
            part.unattributed = more - (last->elsewhere - first->elsewhere) - traced - part.untraced;
            part.unheard_resets = resets_between(first, last, more - traced);
        }
        part.deaf = heard ? NULL : last->deaf;
    } else if (last->heard - first->heard < last->parts - first->parts) {
        part.resets_unknown = true;
        part.deaf = last->deaf;
    }
    // Of present connections: those that came back may have carried less than those before them.
    int64_t own_bytes = last->own_bytes > first->own_bytes ? last->own_bytes - first->own_bytes : 0;
    part.own_bytes = first->own_bytes < 0 || last->own_bytes < 0 ? -1 : own_bytes;
    part.strange_bytes = last->strange_bytes - first->strange_bytes;
    part.further_bytes = last->further_bytes - first->further_bytes;
    part.outgoing_bytes = last->outgoing_bytes - first->outgoing_bytes;
    part.left = left_between(from, to, part.more_descriptors);
    part.unheard = last->unheard - first->unheard;
    part.passing = passing_between(first, last, part.opened);
    return part;
}

void costs_add(struct cost_part *sum, const struct cost_part *part)
{
    sum->cpu_ns = sum->cpu_ns < 0 || part->cpu_ns < 0 ? -1 : sum->cpu_ns + part->cpu_ns;
    sum->took_ns += part->took_ns;
    sum->more_descriptors += part->more_descriptors;
    sum->opened += part->opened > 0 ? part->opened : 0;
    sum->untraced += part->untraced > 0 ? part->untraced : 0;
    sum->unattributed += part->unattributed > 0 ? part->unattributed : 0;
    sum->strange_bytes += part->strange_bytes;
    sum->further_bytes += part->further_bytes;
    sum->outgoing_bytes += part->outgoing_bytes;
    sum->own_bytes = sum->own_bytes < 0 || part->own_bytes < 0 ? -1 : sum->own_bytes + part->own_bytes;
    sum->made += part->made;
    sum->failed += part->failed;
    sum->foreign += part->foreign;
    sum->left += part->left;
    sum->unheard += part->unheard;
    sum->passing += part->passing;
    sum->unheard_resets += part->unheard_resets;
    sum->resets_unknown = sum->resets_unknown || part->resets_unknown;
    sum->deaf = part->deaf ? part->deaf : sum->deaf;
}

bool costs_many_failed(int64_t failed, int64_t made)
{
    return failed * ONE_IN > made;
}

// CPU time of others over the part, as far as pauses tell.
static double idle_ns(const struct run *run, const struct cost_part *part)
{
    return run->strangers.idle_share >= STRANGERS_REST ? run->strangers.idle_share * (double)part->took_ns
                                                       : 0;
}

static bool is_busy(const struct run *run, const struct cost_part *part)
{
    return part->cpu_ns >= 0 && idle_ns(run, part) * ONE_IN > (double)part->cpu_ns;
}

// Connections of others that came meanwhile, at least. Those of a part in which clients connect are counted all the
// time (run.c), so that others who left again are known too.
static int64_t others_of(const struct run *run, const struct cost_part *part)
{
    int64_t most = run->strangers.most_more;
    if (part->by_sockets)
        return 0;
    return part->more_descriptors > most ? part->more_descriptors : most;
}

static bool is_much(int64_t connections, const struct cost_part *part)
{
    return connections > STRANGERS_MOST && connections * STRANGERS_ONE_IN > part->made;
}

static bool has_others(const struct run *run, const struct cost_part *part)
{
    int64_t others = others_of(run, part);
    return is_much(others, part);
}

static int64_t opened_of(const struct cost_part *part)
{
    return (part->opened > 0 ? part->opened : 0) + (part->untraced > 0 ? part->untraced : 0);
}

// Bytes that are no monitor's: that reads a page of the target each second, or is told by it.
static int64_t strange_of(const struct cost_part *part)
{
    int64_t other_ways = part->further_bytes + part->outgoing_bytes;
    int64_t more = other_ways - (int64_t)((double)part->took_ns / 1e9 * MONITOR_BYTES_PER_S);
    return part->strange_bytes + (more > 0 ? more : 0);
}

// Connections of ours that have ended are in no reading, so their acts count by the least that they carry.
static bool has_bytes(const struct cost_part *part)
{
    int64_t least = part->made * ACT_BYTES, own = part->own_bytes > least ? part->own_bytes : least;
    int64_t strange = strange_of(part);
    return part->own_bytes >= 0 && strange > STRANGE_BYTES && strange * ONE_IN > own;
}

static bool has_foreign(const struct cost_part *part)
{
    return part->foreign * ONE_IN > part->made;
}

static bool has_any_others(const struct run *run, const struct cost_part *part)
{
    return has_others(run, part) || is_much(opened_of(part), part) || is_much(part->left, part) ||
           part->unheard > 0 || has_bytes(part) || has_foreign(part);
}

// Nothing else is to load the target, so whoever does is a stranger.
static bool is_alone(const struct run *run)
{
    return !run->config || !run->config->beside;
}

const char *costs_faults(const struct run *run, const struct cost_part *part, char text[static 64])
{
    bool alone = is_alone(run), others = has_any_others(run, part);
    const char *names[] = {costs_many_failed(part->failed, part->made) ? "failed_share" : NULL,
                           alone ? NULL : "beside", alone && is_busy(run, part) ? "target_busy" : NULL,
                           alone && others ? "other_clients" : NULL};
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i]) {
            size_t used = strlen(text);
            snprintf(text + used, 64 - used, "%s%s", used > 0 ? ", " : "", names[i]);
        }
    return text;
}

static bool is_raised(const struct run *run, const char *anomaly)
{
    return run->withheld & withheld_bit(anomaly);
}

static void tell_busy(struct run *run, const struct cost_part *part)
{
    run_anomaly(run, "target_busy",
                "CPU time of the target has no figure for an act: while this run gave it nothing to do, the "
                "target took "
                "%.3g of a processor, which over %.3f s is %.3f s beside the %.3f s that were measured. "
                "Something else "
                "loads the target, or it has work of its own that never rests. Latencies and rates are those "
                "of a target "
                "with that load",
                run->strangers.idle_share, (double)part->took_ns / 1e9, idle_ns(run, part) / 1e9,
                (double)part->cpu_ns / 1e9);
}

// What shows others, the first sign that does; there is one.
static void describe_others(const struct run *run, const struct cost_part *part, char text[static 400])
{
    if (has_others(run, part))
        snprintf(text, 400,
                 "the target had %lld descriptors open beyond those of this run's clients: others connected "
                 "to it meanwhile",
                 (long long)others_of(run, part));
    else if (has_foreign(part))
        snprintf(text, 400, "this run's subscribers received %lld messages of others",
                 (long long)part->foreign);
    else if (is_much(part->opened, part))
        snprintf(text, 400,
                 "beside those of this run %lld connections to the target were made meanwhile, and what they "
                 "did is not known",
                 (long long)part->opened);
    else if (is_much(opened_of(part), part))
        snprintf(text, 400,
                 "beside those of this run %lld connections were taken meanwhile in the target's network "
                 "namespace. %lld of them left no trace (they were reset, or their ports were used again); "
                 "nothing "
                 "else came at other ports, so they count as the target's, and may be of another program",
                 (long long)opened_of(part), (long long)part->untraced);
    else if (has_bytes(part) && part->outgoing_bytes > part->strange_bytes + part->further_bytes)
        snprintf(
            text, 400,
            "connections that the target has made itself (a bridge to another broker, a database) carried "
            "%lld bytes meanwhile, and who asked for that is not known",
            (long long)part->outgoing_bytes);
    else if (has_bytes(part) && part->further_bytes > part->strange_bytes)
        snprintf(text, 400,
                 "connections of others to other listeners of the target than this run's carried %lld bytes "
                 "meanwhile: they publish, or subscribe to messages",
                 (long long)part->further_bytes);
    else if (has_bytes(part))
        snprintf(text, 400,
                 "connections of others to the target carried %lld bytes meanwhile: they publish, or "
                 "subscribe to messages",
                 (long long)part->strange_bytes);
    else if (is_much(part->left, part))
        snprintf(text, 400,
                 "%lld connections of others to the target that were there before ended meanwhile, and their "
                 "ends are work for it",
                 (long long)part->left);
    else
        snprintf(text, 400,
                 "%lld connections of others to the target that were there before ended meanwhile, and it is "
                 "not known what they had carried until then",
                 (long long)part->unheard);
}

static void tell_others(struct run *run, const struct cost_part *part)
{
    char text[400];
    if (is_raised(run, "other_clients") || !has_any_others(run, part))
        return;
    describe_others(run, part, text);
    run_anomaly(run, "other_clients",
                "memory, kernel memory and CPU time have no figure for an act: %s. This run's clients "
                "made %lld acts, "
                "and what others did is in the readings",
                text, (long long)part->made);
}

// Few that came and ended may be looks of a monitor, and may have published: nobody knows.
static void tell_passing(struct run *run, const struct cost_part *part, const char *where)
{
    run_anomaly(
        run, "other_connections",
        "%s%lld connections of others to the target came and ended meanwhile, while connections of this run "
        "ended too: what they carried is not known. If it was much, the target's figures have what that "
        "cost. They are marked as doubtful",
        where, (long long)part->passing);
}

// Whether somebody was meant to hear them, and did not. While clients of the run end nobody is, and then other programs of the host
// that are reset, such as checks of their health, would mark each such run.
static bool is_deaf(const struct cost_part *part)
{
    return part->unheard_resets > 0 && part->deaf && part->deaf != census_paused;
}

// Too few to be a load of their own, but one alone may have published much.
static void tell_unheard_resets(struct run *run, const struct cost_part *part, bool marks)
{
    if (part->unheard_resets == 0 || is_raised(run, "other_clients"))
        return;
    run->strangers.told = true;
    run->strangers.marked = run->strangers.marked || marks;
    if (marks)
        withheld_add_all(&run->doubted, "other_clients", "other_connections");
    run_anomaly(
        run, "other_connections",
        "%lld connection%s of others to programs of this network namespace left no trace (reset, or its port "
        "used again), and nobody heard the end: %s. Whether the target was among these programs, and what "
        "was carried, is not known. If it was much, the target's figures have what that cost%s. Its own "
        "counters tell (a suite's cell, verify --broker)",
        (long long)part->unheard_resets, part->unheard_resets == 1 ? "" : "s",
        part->deaf ? part->deaf : "nobody listened", marks ? "; they are marked as doubtful" : "");
}

// Resets leave no trace, and a long list is not read: then nobody knows to whom others connected.
static void tell_unattributed(struct run *run, const struct cost_part *part, bool marks)
{
    if (run->strangers.told && (!marks || run->strangers.marked))
        return;
    if (!is_much(part->unattributed, part)) {
        tell_unheard_resets(run, part, marks);
        return;
    }
    run->strangers.told = true;
    run_anomaly(
        run, "other_connections",
        "%lld connections of others were taken meanwhile by programs of this network namespace, beside the "
        "%lld acts of this run, and it is not known by which: they were reset, or there were too many "
        "sockets to "
        "look at. If the target was among these programs, its figures have what that cost",
        (long long)part->unattributed, (long long)part->made);
}

// Of connections of others that are there nobody knows what they carry: one alone can make the target work.
static void tell_unseen(struct run *run, const struct cost_part *part)
{
    bool blind = part->own_bytes < 0;
    if (run->unseen_told || !run->census || (!blind && !part->resets_unknown) ||
        is_raised(run, "other_clients"))
        return;
    run->unseen_told = true;
    if (!blind) {
        run_anomaly(
            run, "others_unseen",
            "whether others connected to the target and were reset is not known: the kernel counts no "
            "connections that listeners took (PassiveOpens), and nobody heard the ends of sockets: %s. Such "
            "a connection may have published much: the target's figures would have what that costs. Its own "
            "counters tell (a suite's cell, verify --broker)",
            part->deaf ? part->deaf : "nobody listened");
        return;
    }
    run_anomaly(
        run, "others_unseen",
        "what connections of others to the target carried is not known: %s. Many of them would have been "
        "noticed. One that publishes much, or subscribes to it, would not: the target's figures would have "
        "what that costs. Its own counters tell (a suite's cell, verify --broker)",
        census_blind(run->census));
}

double costs_each(struct run *run, const struct cost_part *part, const struct cost_words *words)
{
    if (costs_many_failed(part->failed, part->made) && !is_raised(run, "failed_share"))
        run_anomaly(run, "failed_share",
                    "%s no figure: %lld %s beside %lld %s, and what those cost is in the "
                    "readings. %s",
                    words->figures, (long long)part->failed, words->failed, (long long)part->made,
                    words->made, words->advice);
    if (is_alone(run)) {
        if (is_busy(run, part) && !is_raised(run, "target_busy"))
            tell_busy(run, part);
        tell_others(run, part);
        tell_unattributed(run, part, is_deaf(part));
        tell_unseen(run, part);
        if (part->passing > 0 && !run->passing_told && !is_raised(run, "other_clients")) {
            run->passing_told = true;
            withheld_add_all(&run->doubted, "other_clients", "other_connections");
            tell_passing(run, part, "");
        }
    }
    return part->cpu_ns >= 0 && part->made > 0 ? (double)part->cpu_ns / (double)part->made : NAN;
}

struct cost_faults costs_judge_part(struct run *run, const struct cost_part *part, const char *name)
{
    struct cost_faults faults = {.busy = is_alone(run) && is_busy(run, part),
                                 .others = is_alone(run) && has_any_others(run, part)};
    faults.passing = is_alone(run) && !faults.others && part->passing > 0;
    faults.unheard = is_alone(run) && !faults.others && is_deaf(part) && !is_raised(run, "other_clients") &&
                     !is_much(part->unattributed, part);
    char text[400], where[64];
    snprintf(where, sizeof where, "%s: ", name);
    if (faults.busy)
        run_anomaly(run, "target_busy",
                    "%sCPU time of the target has no figure: while this run gave it nothing to do, the "
                    "target took %.3g of a processor, which over %.3f s is %.3f s of the %.3f s that were "
                    "measured",
                    where, run->strangers.idle_share, (double)part->took_ns / 1e9, idle_ns(run, part) / 1e9,
                    (double)part->cpu_ns / 1e9);
    if (faults.others) {
        describe_others(run, part, text);
        run_anomaly(run, "other_clients",
                    "%smemory and CPU time of the target have no figure: %s. This run's clients made %lld "
                    "acts, and what others did is in the readings",
                    where, text, (long long)part->made);
    }
    if (is_alone(run))
        tell_unattributed(run, part, faults.unheard);
    if (is_alone(run) && !faults.others)
        tell_unseen(run, part);
    if (faults.passing)
        tell_passing(run, part, where);
    return faults;
}

void costs_judge_memory(struct run *run, const struct sample *from, const struct sample *to, int64_t made)
{
    struct cost_part part = costs_between(from, to);
    part.cpu_ns = -1; // no figure of it is judged
    // A target may have several descriptors for a client, as a relay has.
    part.by_sockets = from->census.opened >= 0 && to->census.opened >= 0;
    part.made = made;
    (void)costs_each(run, &part, &costs_of_connections);
}
