// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/mix_others.h"

#include "loadgen/costs.h"

#include <stdio.h>

enum { ONE_IN = 20 }; // as of costs.h

// Of a phase at most two, and of a group in it two, and a few of the run.
_Static_assert(2 * MIX_PHASES_MAX + 2 * MIX_PARTS_MAX + 8 <= WITHHELD_PARTS_MAX, "the list is too short");

void mix_others_add(struct run *run, const struct mix *mix, int group, const struct tally *tally,
                    struct mix_phase_result *result, const char *phase)
{
    const int64_t *count = tally->count;
    const char *name = mix->crews[group].name;
    int64_t received = count[TALLY_RECEIVED] + count[TALLY_SLOW_RECEIVED];
    int64_t foreign = count[TALLY_FOREIGN] + count[TALLY_STRANGE];
    result->acts +=
        received + count[TALLY_CONNECTED] + count[TALLY_ARRIVED] + count[TALLY_ADDED] + count[TALLY_REMOVED];
    result->foreign += foreign;
    if (foreign * ONE_IN <= received)
        return;
    run_anomaly(run, "foreign",
                "%s in phase %s: latencies of deliveries have no figure: %lld messages of others arrived "
                "beside %lld of its own",
                name, phase, (long long)foreign, (long long)received);
    withheld_add(&run->withheld_parts, "foreign", "%s.%s.delivery", name, phase);
    withheld_add(&run->withheld_parts, "foreign", "%s.%s.recovery", name, phase);
}

// A reading may come while the target still closes descriptors of clients that have just left: they tell nothing here.
static struct cost_part part_of(const struct sample *before, const struct mix_phase_result *result)
{
    struct cost_part part = costs_between(before, &result->sample);
    part.by_sockets = true;
    part.made = result->acts;
    part.foreign = result->foreign;
    return part;
}

// Memory of a phase, and of those after it.
static void withhold_memory(struct withheld_parts *parts, const struct mix *mix, const char *anomaly,
                            int phase, int count)
{
    if (phase == 0)
        withheld_add(parts, anomaly, "memory.full_");
    for (int i = phase; i < count; i++)
        withheld_add(parts, anomaly, "phase.%s.memory_bytes", mix->phases[i].name);
}

void mix_others_judge(struct run *run, const struct mix *mix, const struct sample *start,
                      const struct mix_phase_result results[], int count)
{
    const struct sample *before = start;
    bool alone = !run->config->beside, polluted = false, doubted = false;
    if (!alone)
        withhold_memory(&run->withheld_parts, mix, "beside", 0, count);
    for (int i = 0; i < count; i++) {
        const char *phase = mix->phases[i].name;
        char name[sizeof mix->phases[i].name + 8];
        if (results[i].sample.at_ns == 0 || before->at_ns == 0)
            continue;
        struct cost_part part = part_of(before, &results[i]);
        snprintf(name, sizeof name, "phase %s", phase);
        struct cost_faults faults = costs_judge_part(run, &part, name);
        const char *anomaly = !alone          ? "beside"
                              : faults.others ? "other_clients"
                              : faults.busy   ? "target_busy"
                                              : NULL;
        if (anomaly)
            withheld_add(&run->withheld_parts, anomaly, "phase.%s.cpu_seconds", phase);
        if (faults.others && !polluted)
            withhold_memory(&run->withheld_parts, mix, "other_clients", i, count);
        bool doubtful = faults.passing || faults.unheard;
        if (doubtful)
            withheld_add(&run->doubted, "other_connections", "phase.%s.cpu_seconds", phase);
        if (doubtful && !doubted) {
            withheld_add(&run->doubted, "other_connections", "memory.peak_bytes");
            withheld_add(&run->doubted, "other_connections", "memory.after_bytes");
            withhold_memory(&run->doubted, mix, "other_connections", i, count);
        }
        polluted = polluted || faults.others;
        doubted = doubted || doubtful;
        before = &results[i].sample;
    }
}
