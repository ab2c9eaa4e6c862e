// SPDX-License-Identifier: Apache-2.0
#include "loadgen/costs.h"

#include "loadgen/withheld.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    ONE_IN = 20,            // the part of a figure that may be of something else
    STRANGERS_ONE_IN = 100, // connections of others beside ours: each may do more than one of ours
    STRANGERS_MOST = 16,    // so many are monitors, or files of the target
};

const struct cost_words costs_of_connections = {"memory, CPU time and kernel memory of a connection have",
                                                "clients failed", "that connected",
                                                "Ask for no more connections than the target takes"};
const struct cost_words costs_of_arrivals = {"CPU time of an arrival has",
                                             "connects of clients that come (back) failed", "arrivals",
                                             "Ask for no more arrivals than the target takes"};
const struct cost_words costs_of_messages = {"CPU time of a message has",
                                             "deliveries did not come, or came twice,", "that came once",
                                             "Ask for a rate that the target can keep"};

struct cost_part costs_between(const struct sample *from, const struct sample *to)
{
    struct cost_part part = {.cpu_ns = -1, .took_ns = to->at_ns - from->at_ns};
    if (from->target_cpu_ns >= 0 && to->target_cpu_ns >= 0)
        part.cpu_ns = to->target_cpu_ns - from->target_cpu_ns;
    if (from->target_descriptors >= 0 && to->target_descriptors >= 0)
        part.more_descriptors =
            to->target_descriptors - from->target_descriptors - (to->connections - from->connections);
    return part;
}

void costs_add(struct cost_part *sum, const struct cost_part *part)
{
    sum->cpu_ns = sum->cpu_ns < 0 || part->cpu_ns < 0 ? -1 : sum->cpu_ns + part->cpu_ns;
    sum->took_ns += part->took_ns;
    sum->more_descriptors += part->more_descriptors;
    sum->made += part->made;
    sum->failed += part->failed;
    sum->foreign += part->foreign;
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
    return part->more_descriptors > most ? part->more_descriptors : most;
}

static bool has_others(const struct run *run, const struct cost_part *part)
{
    int64_t others = others_of(run, part);
    return others > STRANGERS_MOST && others * STRANGERS_ONE_IN > part->made;
}

static bool has_foreign(const struct cost_part *part)
{
    return part->foreign * ONE_IN > part->made;
}

const char *costs_faults(const struct run *run, const struct cost_part *part, char text[static 64])
{
    const char *names[] = {costs_many_failed(part->failed, part->made) ? "failed_share" : NULL,
                           is_busy(run, part) ? "target_busy" : NULL,
                           has_others(run, part) || has_foreign(part) ? "other_clients" : NULL};
    text[0] = '\0';
    for (int i = 0; i < 3; i++)
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

double costs_each(struct run *run, const struct cost_part *part, const struct cost_words *words)
{
    if (costs_many_failed(part->failed, part->made) && !is_raised(run, "failed_share"))
        run_anomaly(run, "failed_share",
                    "%s no figure: %lld %s beside %lld %s, and what those cost is in the "
                    "readings. %s",
                    words->figures, (long long)part->failed, words->failed, (long long)part->made,
                    words->made, words->advice);
    if (is_busy(run, part) && !is_raised(run, "target_busy"))
        tell_busy(run, part);
    if (has_others(run, part) && !is_raised(run, "other_clients"))
        run_anomaly(
            run, "other_clients",
            "memory, kernel memory and CPU time have no figure for an act: the target had %lld descriptors "
            "open beyond those of this run's clients, which made %lld acts: others connected to it "
            "meanwhile, and what they did is in the readings",
            (long long)others_of(run, part), (long long)part->made);
    if (has_foreign(part) && !is_raised(run, "other_clients"))
        run_anomaly(
            run, "other_clients",
            "memory, kernel memory and CPU time have no figure for an act: this run's subscribers received "
            "%lld messages of others beside %lld of its own, and what those cost is in the readings",
            (long long)part->foreign, (long long)part->made);
    return part->cpu_ns >= 0 && part->made > 0 ? (double)part->cpu_ns / (double)part->made : NAN;
}
