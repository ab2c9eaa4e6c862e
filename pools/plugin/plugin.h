// SPDX-License-Identifier: Apache-2.0
// Strategies from shared libraries (pools/pool_plugin.h), loaded because an option names their file. A loaded
// strategy is used like any other: pool_open takes it. It is in no list of pools/pool.c.
//
//     struct plugins plugins = {.count = 0};
//     const struct pool_strategy *strategy;
//     if (plugins_load(&plugins, "./mine.so", &strategy, &err) < 0) ...
//     pool_open(&pool, strategy, &config, &err);
//
// The caller owns the struct. It may not move while a pool of one of its strategies is open. The library stays
// in the process until its end, so nothing is to be closed. One thread at a time loads.
#ifndef POOLMARK_POOLS_PLUGIN_PLUGIN_H
#define POOLMARK_POOLS_PLUGIN_PLUGIN_H

#include "pools/plugin/plugin_file.h"
#include "pools/pool_plugin.h"
#include "pools/pool_strategy.h"

#include <jansson.h>
#include <stdbool.h>

enum { PLUGINS_MAX = 8 };

struct plugin {
    struct pool_strategy strategy; // first, so that a strategy leads back to its plug-in
    const struct poolmark_strategy_v1 *contract;
    struct plugin_file file;
};

struct plugins {
    int count;
    struct plugin loaded[PLUGINS_MAX];
};

// Does an option's value name a file, and not a strategy? It has a slash.
bool plugins_is_path(const char *text);

// Loads the file, or finds it among those loaded. 0, or -EINVAL: `err` says which file and what is wrong with
// it: what plugin_file_check finds; the library cannot be loaded, or lacks the symbol; it keeps another version
// of the contract; its name, its flags and its functions do not go together; its name is taken.
int plugins_load(struct plugins *plugins, const char *path, const struct pool_strategy **strategy,
                 struct err *err) __attribute__((warn_unused_result));

// The plug-in of a strategy; NULL for one of Poolmark's own.
const struct plugin *plugin_of(const struct pool_strategy *strategy);

// {"strategy", "file" (its name, no path), "sha256", "version" (null: none)}, for records.
json_t *plugin_json(const struct plugin *plugin);

#endif
