// SPDX-License-Identifier: Apache-2.0
// A plug-in's table of functions as a strategy of ours, and back: configuration, events and statistics are
// translated here, so that pools/pool.h may change without a new version of the plug-ins' contract.
#ifndef POOLMARK_POOLS_PLUGIN_PLUGIN_ADAPT_H
#define POOLMARK_POOLS_PLUGIN_PLUGIN_ADAPT_H

#include "pools/plugin/plugin.h"

// Fills in plugin->strategy from plugin->contract, which was checked.
void plugin_adapt(struct plugin *plugin);

#endif
