// SPDX-License-Identifier: Apache-2.0
// Pauses of a run: until the target's memory is level, and for what CPU time it takes by itself.
#include "loadgen/run.h"

#include "base/clock.h"
#include "base/units.h"
#include "loadgen/scenario.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEVEL_EVERY_NS = 500000000,
    REST_EVERY_NS = 200000000, // slices of a pause that is only for the target's CPU time at rest
};
#define PATIENCE_NS (3 * NS_PER_S) // limit for work to end that connects left behind

int64_t run_level_slack(int64_t bytes)
{
    return bytes / 1000 > 65536 ? bytes / 1000 : 65536;
}

// One reading of the target's CPU time in a pause.
static void read_rest(struct run *run)
{
    struct curve_point now = curve_read(run->config->watch_pids, run->config->watch.count, 0);
    strangers_read(&run->strangers, clock_now_ns(), now.cpu_ns);
}

// Ends a pause. Work that connects left behind ends soon, that of others does not: so waits for a slice at rest.
static void end_pause(struct run *run, int64_t slice_ns)
{
    enum { PING_NS = 100000 }; // more than a PINGREQ costs a target
    int64_t until_ns = clock_now_ns() + PATIENCE_NS, keep_alive_s = run->config->keep_alive_s;
    double pings_per_s = keep_alive_s > 0 ? (double)run->tally.count[TALLY_OPEN] / (double)keep_alive_s : 0;
    double own_share = pings_per_s * PING_NS / 1e9;
    // With a load on purpose beside this one there is no rest to wait for.
    while (!run->config->beside && !strangers_is_quiet(&run->strangers, own_share) &&
           clock_now_ns() < until_ns && run_hold(run, slice_ns))
        read_rest(run);
    strangers_resume(&run->strangers, own_share);
}

bool run_rest(struct run *run)
{
    if (run->config->watch.count == 0)
        return !run_is_broken(run);
    strangers_pause(&run->strangers);
    read_rest(run);
    for (int i = 0; i < 2 && run_hold(run, REST_EVERY_NS); i++)
        read_rest(run);
    end_pause(run, REST_EVERY_NS);
    return !run_is_broken(run);
}

// Figures of memory that rest on single readings; memory.peak_bytes is the highest of all. The same list: verify/withheld.py.
static void doubt_readings(struct run *run)
{
    static const char *const starts[] = {"memory.full_", "memory.after_bytes", "memory.subscribed_bytes",
                                         "memory.per_", "slow.memory_per_reader_"};
    struct withheld_parts *doubted = &run->doubted;
    bool told = false;
    for (int i = 0; i < doubted->count; i++)
        told = told || strcmp(doubted->list[i].anomaly, "unsettled") == 0;
    for (size_t i = 0; !told && i < sizeof starts / sizeof starts[0]; i++)
        withheld_add(doubted, "unsettled", "%s", starts[i]);
    if (strcmp(run->config->scenario->name, "mix") == 0)
        withheld_add(doubted, "unsettled", "phase.%s.memory_bytes", run->phase);
}

// The time for the target's memory to become level was over, and it was not: has it moved since the reading `last_bytes` of half
// a second before, and does it after `sample`? Of the target alone, since the kernel's memory moves by what others do too.
static void look_at_unsettled(struct run *run, int64_t limit_ns, int64_t last_bytes,
                              const struct sample *sample)
{
    struct sample now;
    char limit[24];
    int64_t before = sample->target_rss_bytes;
    if (last_bytes < 0 || before < 0 || llabs(before - last_bytes) <= run_level_slack(before) ||
        !run_hold(run, LEVEL_EVERY_NS))
        return;
    sample_read(&now, run->config->watch_pids, run->config->watch.count, NULL, 0, false);
    int64_t moved = now.target_rss_bytes >= 0 ? now.target_rss_bytes - before : 0;
    if (llabs(moved) <= run_level_slack(before))
        return;
    run_anomaly(
        run, "unsettled",
        "after \"%s\" the target's memory was not level within %s: in the %.1f s after the reading, with "
        "%lld "
        "connections, it moved by %+lld bytes, of %lld. Figures of memory with this reading are those of one "
        "moment, and are marked as doubtful: give it more time (--settle)",
        run->phase, units_format_duration(limit_ns, limit, sizeof limit),
        (double)(now.at_ns - sample->at_ns) / 1e9, (long long)sample->connections, (long long)moved,
        (long long)before);
    doubt_readings(run);
}

// Level: three readings in a row, half a second apart, within the slack of each other.
bool run_settle(struct run *run, int64_t limit_ns, struct sample *sample)
{
    int64_t until_ns = clock_now_ns() + limit_ns;
    int64_t before = -1, last_bytes = -1;
    int level = 0;
    strangers_pause(&run->strangers);
    while (level < 2 && clock_now_ns() < until_ns && !run_is_broken(run)) {
        struct sample now;
        sample_read(&now, run->config->watch_pids, run->config->watch.count, NULL, 0, false);
        strangers_read(&run->strangers, now.at_ns, now.target_cpu_ns);
        int64_t bytes = now.target_rss_bytes + now.kernel_slab_bytes + now.kernel_tcp_bytes;
        int64_t slack = run_level_slack(bytes);
        int64_t moved = bytes > before ? bytes - before : before - bytes;
        level = before >= 0 && moved <= slack ? level + 1 : 0;
        before = bytes;
        last_bytes = now.target_rss_bytes;
        if (level < 2)
            run_hold(run, LEVEL_EVERY_NS);
    }
    if (limit_ns > 0)
        end_pause(run, LEVEL_EVERY_NS);
    bool fine = run_sample(run, sample);
    if (fine && limit_ns > 0 && level < 2)
        look_at_unsettled(run, limit_ns, last_bytes, sample);
    return !run_is_broken(run);
}
