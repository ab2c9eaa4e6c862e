// SPDX-License-Identifier: Apache-2.0
#include "bench/own_pools.h"

#include "bench/gbench.h"
#include "pools/contract/contract.h"

#include <stdio.h>
#include <string.h>

void own_pools_open(struct own_pools *pools)
{
    *pools = (struct own_pools){.count = 0};
    while (pool_strategies()[pools->count] && pools->count < OWN_POOLS_STRATEGIES_MAX - PLUGINS_MAX) {
        pools->strategies[pools->count] = pool_strategies()[pools->count];
        pools->count++;
    }
}

static bool is_there(const struct own_pools *pools, const struct pool_strategy *strategy)
{
    for (int i = 0; i < pools->count; i++)
        if (pools->strategies[i] == strategy)
            return true;
    return false;
}

int own_pools_load(struct own_pools *pools, const char *path, struct err *err)
{
    const struct pool_strategy *strategy;
    int code = plugins_load(&pools->plugins, path, &strategy, err);
    if (code == 0 && !is_there(pools, strategy))
        pools->strategies[pools->count++] = strategy;
    return code;
}

void own_pools_add_context(const struct own_pools *pools)
{
    for (int i = 0; i < pools->plugins.count; i++) {
        const struct plugin *plugin = &pools->plugins.loaded[i];
        char key[64], value[PLUGIN_NAME_SIZE + PLUGIN_SHA256_SIZE];
        snprintf(key, sizeof key, "pool.%s", plugin->strategy.name);
        snprintf(value, sizeof value, "%s %s", plugin->file.name, plugin->file.sha256);
        gb_add_context(key, value);
    }
}

json_t *own_pools_json(const struct own_pools *pools)
{
    json_t *list = json_array();
    for (int i = 0; i < pools->plugins.count; i++)
        json_array_append_new(list, plugin_json(&pools->plugins.loaded[i]));
    return list;
}

// --- --check-pool --------------------------------------------------------------------------------------------

// The name of a promise as words.
static char *words_of(const char *name, char *text, size_t size)
{
    snprintf(text, size, "%s", name);
    for (char *at = text; (at = strchr(at, '_'));)
        *at = ' ';
    return text;
}

// A reason may have several lines: each is indented.
static void print_reason(const char *why, FILE *to)
{
    for (const char *line = why, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        fprintf(to, "          %.*s\n", (int)(end - line), line);
    }
}

int own_pools_check(const char *path, FILE *to)
{
    static const char *const verdicts[] = {
        [PROMISE_KEPT] = "kept", [PROMISE_NOT_MADE] = "not made", [PROMISE_BROKEN] = "BROKEN"};
    struct plugins plugins = {.count = 0};
    const struct pool_strategy *strategy;
    struct err err = {.text = ""};
    int counts[PROMISE_BROKEN + 1] = {0};
    const struct promise *promise;
    if (plugins_load(&plugins, path, &strategy, &err) < 0) {
        fprintf(stderr, "poolmark-bench: --check-pool: %s\n", err.text);
        return EXIT_USAGE;
    }
    const struct plugin *plugin = plugin_of(strategy);
    const char *version = plugin->contract->version;
    fprintf(to, "%s%s%s: %s (%s, SHA-256 %s)\n", strategy->name, version ? " " : "", version ? version : "",
            strategy->summary, plugin->file.name, plugin->file.sha256);
    for (size_t i = 0; (promise = promise_at(i)); i++) {
        char why[PROMISE_WHY_SIZE], words[128];
        enum promise_verdict verdict = promise_check(promise, strategy, why, sizeof why);
        counts[verdict]++;
        fprintf(to, "%-9s %s\n", verdicts[verdict], words_of(promise->name, words, sizeof words));
        print_reason(why, to);
        fflush(to);
    }
    fprintf(to, "%d promises kept, %d not made for lack of a capability, %d broken\n", counts[PROMISE_KEPT],
            counts[PROMISE_NOT_MADE], counts[PROMISE_BROKEN]);
    if (!plugin->contract->stats)
        fprintf(to,
                "it keeps no statistics: what follows from them was not checked, and will have no figure\n");
    return counts[PROMISE_BROKEN] == 0 && fflush(to) == 0 ? EXIT_OK : EXIT_FAILED;
}
