// SPDX-License-Identifier: Apache-2.0
// What an act costs the target: its CPU time over a part of the run, divided by the acts that were made in it. All
// such figures (for a connection, an arrival, a change of subscriptions, a message, a delivery, a step's connection) follow
// one rule, and so do figures of memory that acts leave (for a subscription, a slow reader, the trend of a soak). There is
// no figure when the readings are of more than those acts, by more than 1 in 20:
//
// - `failed_share`: more than 1 act failed beside 20 that were made, and what those cost is in the readings.
// - `target_busy`: at the share that the target took in the run's pauses, more than a twentieth of the CPU time is
//   that of others, or of work of its own that never rests.
// - `other_clients`: more than 1 connection of others came beside 100 of ours, and more than 16. Nobody knows what
//   those did meanwhile. Those that had left again count too (census.h). Or so many that were there before left: their ends
//   are work too. Or connections of others carried more than 1 byte beside 20 of ours, and more than 64 KiB: a subscriber to
//   everything, a publisher, also one that left again. At other listeners of the target, and on connections that it made itself,
//   32 KiB a second are a monitor's. Or one that was there before left while nobody listened to ends: what
//   it carried is not known. Or our subscribers received more than 1 message of others beside 20 of ours.
// - `beside`: something else loads the target on purpose (--beside), which is in all readings. It is not looked for
//   as a stranger then: neither `target_busy` nor `other_clients` is raised.
//
// Fewer strangers (a monitoring client) leave the figure as it is; cpu.idle_share has what they take. Where some came and
// ended unheard, the figure stays and is marked as doubtful (`other_connections`). Those that were reset unheard, to the target or
// to another program, are told, however few. Where nothing shows what connections carried,
// as over several ranks, that is said (`others_unseen`).
//
//     struct cost_part part = costs_between(&before, &after);
//     part.made = messages;
//     part.failed = lost;
//     summary_add(summary, "cpu.per_message_ns", costs_each(run, &part, &costs_of_messages), "ns", "lower");
#ifndef POOLMARK_LOADGEN_COSTS_H
#define POOLMARK_LOADGEN_COSTS_H

#include "loadgen/run.h"

struct cost_part {
    int64_t cpu_ns, took_ns;  // of the target, and of the clock; cpu_ns -1: not read
    int64_t more_descriptors; // of the target, beyond those of our clients; less than 0 too
    bool by_sockets;          // descriptors say nothing: the list of sockets tells, or nothing does
    int64_t made, failed;     // acts
    int64_t opened;           // connections of others to the target that came, at least; less than 0 too
    int64_t
        untraced; // further ones that were reset, to the target as far as is known, where their ends were not heard
    int64_t unattributed; // connections of others, to the target or not
    int64_t
        unheard_resets;  // of these and of the untraced, those of which no list has anything: they were reset
    bool resets_unknown; // nothing counts them either
    const char *deaf;    // static: why nobody heard their ends; NULL: somebody did
    int64_t strange_bytes; // on connections of others
    int64_t further_bytes,
        outgoing_bytes; // at other listeners of the target, and on connections that it made
    int64_t own_bytes;  // on ours, at least; -1: neither is known
    int64_t foreign;    // messages of others that our subscribers received
    int64_t left;       // connections of others that were there before, and ended
    int64_t unheard;    // of these, of which nobody heard what they had carried
    int64_t passing;    // connections of others that came and ended, of which nobody heard it, at least
};

// The words for a kind of act in the text of an anomaly.
struct cost_words {
    const char *figures; // "CPU time of a message has"
    const char *failed, *made;
    const char *advice;
};
extern const struct cost_words costs_of_connections, costs_of_arrivals, costs_of_changes, costs_of_messages;

// The part of the run between two samples; without acts.
struct cost_part costs_between(const struct sample *from, const struct sample *to);
// Adds a part to a sum of parts.
void costs_add(struct cost_part *sum, const struct cost_part *part);

// Whether so many failed that a cost divided by those made is a wrong figure.
bool costs_many_failed(int64_t failed, int64_t made);

// The anomalies' names, joined with ", ", that make the part's cost a wrong figure; "" when there is none.
const char *costs_faults(const struct run *run, const struct cost_part *part, char text[static 64]);

// The same rule for a part with a name, such as a phase, whose figure is the CPU time itself: acts that failed are in it, and are
// no fault. Raises the anomalies of this part, with the name, though another part had them before. Which there are:
struct cost_faults {
    bool busy, others;
    bool passing; // others came and ended unheard: the figures are doubtful
    bool unheard; // some were reset, and somebody was meant to hear it and did not: likewise
};
struct cost_faults costs_judge_part(struct run *run, const struct cost_part *part, const char *name);

// The same for readings of memory alone: what others did between these two is in all later ones. `made`: acts between them.
void costs_judge_memory(struct run *run, const struct sample *from, const struct sample *to, int64_t made);

// The cost of an act, NaN when the readings or the acts are missing. Raises the anomalies (once each), and the run
// then withholds the figures (withheld.h).
double costs_each(struct run *run, const struct cost_part *part, const struct cost_words *words);

#endif
