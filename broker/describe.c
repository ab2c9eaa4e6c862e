// SPDX-License-Identifier: Apache-2.0
#include "broker/describe.h"

#include "base/describe.h"
#include "broker/catalogue.h"
#include "broker/net/loop.h"
#include "pools/shared/growth.h"
#include "pools/shared/growth_load.h"

static json_t *describe_strategy(const struct pool_strategy *strategy)
{
    static const struct describe_flag caps[] = {
        {POOL_CAP_GROWS, "grows"},       {POOL_CAP_BACKGROUND, "background"},
        {POOL_CAP_PREHEATS, "preheats"}, {POOL_CAP_BOUNDED, "bounded"},
        {POOL_CAP_SHRINKS, "shrinks"},   {POOL_CAP_SWEEPS, "sweeps"},
        {POOL_CAP_SIZED, "sized"},       {POOL_CAP_SHARES, "shares"},
        {POOL_CAP_ADAPTS, "adapts"},     {0}};
    unsigned has = pool_strategy_caps(strategy);
    const struct plugin *plugin = plugin_of(strategy);
    json_t *told = json_pack("{s:s,s:s,s:o,s:b}", "name", pool_strategy_name(strategy), "summary",
                             pool_strategy_summary(strategy), "capabilities", describe_flags(caps, has),
                             "serves", !(has & POOL_CAP_SHARES));
    if (plugin)
        json_object_set_new(told, "plugin", plugin_json(plugin));
    return told;
}

static json_t *describe_strategies(const struct broker_config *config)
{
    json_t *list = json_array();
    for (const struct pool_strategy *const *at = pool_strategies(); *at; at++)
        json_array_append_new(list, describe_strategy(*at));
    for (int i = 0; i < config->plugins.count; i++)
        json_array_append_new(list, describe_strategy(&config->plugins.loaded[i].strategy));
    return list;
}

static json_t *describe_shapes(void)
{
    json_t *list = json_array();
    struct shape shape;
    const char *name;
    for (int i = 0; (name = shape_known(i, &shape)); i++)
        json_array_append_new(list, json_pack("{s:s,s:b,s:I,s:I,s:I,s:I,s:b,s:I}", "name", name, "natural",
                                              shape.object_bytes == shape_natural_object_bytes(),
                                              "object_bytes", (json_int_t)shape.object_bytes, "read_bytes",
                                              (json_int_t)shape.read_bytes, "write_bytes",
                                              (json_int_t)shape.write_bytes, "arena_bytes",
                                              (json_int_t)shape.arena_bytes, "eager", shape.eager,
                                              "connection_bytes", (json_int_t)shape_connection_bytes(i)));
    return list;
}

// The rule of growth as rows for one pool: once `in_use` objects are in use, the pool owns `owned`. Rows end
// at POOL_COUNT_MAX or at its max. A strategy that does not grow, or grows only as objects are needed, has
// one row or none. By the load, what it owns depends on more than the objects in use: then there are two, and
// the second says when the first expansion may begin, and what is owned after it at most.
static json_t *describe_growth(const struct pool_spec *spec)
{
    const struct pool_config *pool = &spec->config;
    unsigned caps = pool_strategy_caps(spec->strategy);
    json_t *rows = json_array();
    int64_t owned = pool->initial, in_use = 0;
    if (caps & POOL_CAP_PREHEATS)
        json_array_append_new(rows, json_pack("[I,I]", (json_int_t)in_use, (json_int_t)owned));
    while (caps & POOL_CAP_GROWS && !(caps & POOL_CAP_AS_NEEDED) && owned < POOL_COUNT_MAX) {
        int64_t next = growth_next(owned, pool->growth, pool->max);
        if (next == owned)
            break;
        in_use = growth_trigger(owned, pool->expand_at_percent);
        json_array_append_new(rows, json_pack("[I,I]", (json_int_t)in_use, (json_int_t)next));
        owned = next;
        if (pool->growth_rule == POOL_RULE_ADAPTIVE)
            break;
    }
    return rows;
}

// The bounds of the rule, and whether the objects in use alone say what is owned.
static json_t *describe_rule(const struct pool_config *pool)
{
    bool by_load = pool->growth_rule == POOL_RULE_ADAPTIVE;
    json_t *rule = json_pack("{s:s,s:f,s:i}", "name", by_load ? BROKER_ADAPTIVE : "factor", "most",
                             pool->growth, "expand_at_percent", pool->expand_at_percent);
    if (by_load)
        json_object_set_new(rule, "least", json_real(1 + 1.0 / GROWTH_LOAD_LEAST_SHARE));
    return rule;
}

static json_t *describe_pools(const struct broker_config *config)
{
    json_t *list = json_array();
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        const struct pool_config *pool = &config->pools[i].config;
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:I,s:I,s:I,s:o,s:o}", "name", pool->name, "strategy",
                                        pool_strategy_name(config->pools[i].strategy), "object_bytes",
                                        (json_int_t)pool->object_bytes, "initial", (json_int_t)pool->initial,
                                        "max", (json_int_t)pool->max, "growth",
                                        describe_growth(&config->pools[i]), "rule", describe_rule(pool)));
    }
    return list;
}

int broker_describe(const struct broker_config *config)
{
    // Measured: an instance of the broker without a connection.
    enum { INSTANCE_BYTES = 4 << 20 };
    char shape[100];
    json_t *root = describe_new("poolmark-broker", broker_options, broker_catalogue);
    json_object_set_new(root, "strategies", describe_strategies(config));
    json_object_set_new(root, "shapes", describe_shapes());
    json_object_set_new(root, "pools", describe_pools(config));
    json_object_set_new(root, "shape",
                        json_pack("{s:s,s:b}", "name", shape_format(&config->shape, shape, sizeof shape),
                                  "eager", config->shape.eager));
    json_object_set_new(root, "events_of_a_turn", json_integer(LOOP_EVENTS));
    json_object_set_new(root, "instance_bytes", json_integer(INSTANCE_BYTES));
    return describe_print(root);
}
