// SPDX-License-Identifier: Apache-2.0
#include "pools/plugin/plugin_adapt.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct pool_base) <= sizeof(struct poolmark_head),
               "a plug-in's pool has too little room for ours: this takes a new version of the contract");

enum { WHY_SIZE = 256, POOL_ALIGNMENT = 16 };

// --- what it can -------------------------------------------------------------------------------------------

static unsigned caps_of(const struct poolmark_strategy_v1 *contract)
{
    static const struct {
        unsigned can, cap;
    } pairs[] = {{POOLMARK_CAN_GROW, POOL_CAP_GROWS},       {POOLMARK_CAN_BACKGROUND, POOL_CAP_BACKGROUND},
                 {POOLMARK_CAN_PREHEAT, POOL_CAP_PREHEATS}, {POOLMARK_CAN_BOUND, POOL_CAP_BOUNDED},
                 {POOLMARK_CAN_SHRINK, POOL_CAP_SHRINKS},   {POOLMARK_CAN_SWEEP, POOL_CAP_SWEEPS},
                 {POOLMARK_CAN_SIZE, POOL_CAP_SIZED},       {POOLMARK_CAN_CONSTRUCT, POOL_CAP_CONSTRUCTS}};
    unsigned caps = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (contract->can & pairs[i].can)
            caps |= pairs[i].cap;
    // Its reserve follows no rule that forecasts know.
    if ((caps & POOL_CAP_GROWS) && contract->growth == POOLMARK_GROWTH_OWN)
        caps |= POOL_CAP_AS_NEEDED;
    return caps;
}

// --- events ------------------------------------------------------------------------------------------------

static void tell(struct pool *pool, const struct poolmark_event_v1 *event)
{
    static const enum pool_event_kind kinds[] = {[POOLMARK_EVENT_EXPAND] = POOL_EVENT_EXPAND,
                                                 [POOLMARK_EVENT_SHRINK] = POOL_EVENT_SHRINK,
                                                 [POOLMARK_EVENT_REFUSE] = POOL_EVENT_REFUSE};
    if (event->kind < 0 || (size_t)event->kind >= sizeof kinds / sizeof kinds[0])
        return; // of a later version
    const struct pool_base *base = (const struct pool_base *)pool;
    struct pool_event told = {.kind = kinds[event->kind],
                              .at_ns = event->at_ns ? clock_of_kernel_ns(event->at_ns) : clock_now_ns(),
                              .duration_ns = event->duration_ns,
                              .from = event->from,
                              .to = event->to,
                              .trigger = event->trigger};
    pool_emit(&base->config, &told);
}

// --- open --------------------------------------------------------------------------------------------------

static struct poolmark_config_v1 config_for(const struct plugin *plugin, const struct pool_config *config)
{
    bool constructs = plugin->contract->can & POOLMARK_CAN_CONSTRUCT;
    return (struct poolmark_config_v1){.bytes = sizeof(struct poolmark_config_v1),
                                       .name = config->name,
                                       .object_bytes = config->object_bytes,
                                       .initial = config->initial,
                                       .max = config->max,
                                       .expand_at_percent = config->expand_at_percent,
                                       .growth = config->growth,
                                       .in_background = config->growth_mode == POOL_GROW_BACKGROUND,
                                       .refuses = config->overflow == POOL_OVERFLOW_REFUSE,
                                       .touch = config->touch,
                                       .one_thread = config->threads == POOL_THREADS_ONE,
                                       .idle_ns = config->idle_ns,
                                       .construct = constructs ? config->construct : NULL,
                                       .destruct = constructs ? config->destruct : NULL,
                                       .object_context = constructs ? config->object_context : NULL,
                                       .tell = tell};
}

// A reason from a library may be anything: only what a line of text may have is kept.
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
}

static int refused(const struct plugin *plugin, const struct pool_config *config, int code, char *why,
                   struct err *err)
{
    const char *name = plugin->strategy.name;
    clean(why);
    if (code >= 0)
        return err_set(err, -EPROTO,
                       "pool %s: open of strategy %s (%s) gave %d, and %s: it has to give 0 and a pool at a "
                       "multiple of %d, or a negative errno",
                       config->name, name, plugin->file.name, code, code > 0 ? "that is no errno" : "no pool",
                       POOL_ALIGNMENT);
    return err_set(err, code, "pool %s: strategy %s (%s): %s", config->name, name, plugin->file.name,
                   *why ? why : strerror(-code));
}

static int open_plugin(const struct pool_strategy *strategy, struct pool **opened,
                       const struct pool_config *config, struct err *err)
{
    const struct plugin *plugin = plugin_of(strategy);
    struct poolmark_config_v1 asked = config_for(plugin, config);
    char why[WHY_SIZE] = "";
    struct pool *pool = NULL;
    int code = plugin->contract->open(&pool, &asked, why, sizeof why);
    why[sizeof why - 1] = '\0';
    if (code != 0 || !pool || (uintptr_t)pool % POOL_ALIGNMENT != 0)
        return refused(plugin, config, code, why, err);
    memset(pool, 0, sizeof(struct pool_base));
    *opened = pool;
    return 0;
}

// --- statistics --------------------------------------------------------------------------------------------

static void read_stats(struct pool *pool, struct pool_stats *stats)
{
    const struct plugin *plugin = plugin_of(((const struct pool_base *)pool)->strategy);
    struct poolmark_stats_v1 told = {.gets = 0};
    stats->unknown = !plugin->contract->stats;
    if (stats->unknown)
        return;
    plugin->contract->stats(pool, &told);
    stats->gets = told.gets;
    stats->puts = told.puts;
    stats->hits = told.hits;
    stats->misses = told.misses;
    stats->overflow = told.overflow;
    stats->refused = told.refused;
    stats->failed = told.failed;
    stats->expansions = told.expansions;
    stats->shrinks = told.shrinks;
    stats->sweeps = told.sweeps;
    stats->owned = told.owned;
    stats->in_use = told.in_use;
    stats->peak_in_use = told.peak_in_use;
    stats->bytes_owned = told.bytes_owned;
    stats->overhead_bytes = told.overhead_bytes;
    stats->bytes_allocated = told.bytes_allocated;
    stats->longest_expansion_ns = told.longest_expansion_ns;
}

void plugin_adapt(struct plugin *plugin)
{
    const struct poolmark_strategy_v1 *contract = plugin->contract;
    plugin->strategy = (struct pool_strategy){.name = contract->name,
                                              .summary = contract->summary,
                                              .caps = caps_of(contract),
                                              .open_as = open_plugin,
                                              .get = contract->get,
                                              .put = contract->put,
                                              .stats = read_stats,
                                              .close = contract->close,
                                              .preheat = contract->preheat,
                                              .get_bytes = contract->get_bytes,
                                              .sweep = contract->sweep,
                                              .trim = contract->trim};
}

const struct plugin *plugin_of(const struct pool_strategy *strategy)
{
    return strategy->open_as == open_plugin ? (const struct plugin *)strategy : NULL;
}
