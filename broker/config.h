// SPDX-License-Identifier: Apache-2.0
// The broker's command line, and the configuration derived from it.
#ifndef POOLMARK_BROKER_CONFIG_H
#define POOLMARK_BROKER_CONFIG_H

#include "base/err.h"
#include "base/opts.h"
#include "base/address.h"
#include "broker/relief.h"
#include "broker/shape.h"
#include "pools/plugin/plugin.h"
#include "pools/use/pool_set.h"

#include <stdbool.h>
#include <stdint.h>

// The named pools, in the order of reports.
enum broker_pool { POOL_CONNECTIONS, POOL_BUFFERS, POOL_ARENAS, POOL_MESSAGES, BROKER_POOL_COUNT };

enum { CONFIG_THREADS_MAX = 256, CONFIG_LISTEN_MAX = 64, CONFIG_MESSAGE_BYTES = 512 };

#define BROKER_ADAPTIVE "adaptive" // the value of --growth

extern const struct opt broker_options[];

struct growth_option {
    enum pool_growth_rule rule;
    double factor; // of POOL_RULE_ADAPTIVE: the most
};

struct broker_config {
    // options as given
    struct opt_list listen_texts, pool_texts, initial_texts, max_texts, pressure_texts;
    int64_t threads, max_connections; // max_connections 0: as many as there are descriptors
    struct shape shape;
    const char *overflow, *expand_mode;
    int64_t expand_at_percent;
    struct growth_option growth;
    bool no_touch, list_pools;
    int64_t sweep_every_ns;
    int64_t memory_limit_bytes; // 0: none
    int64_t max_packet_bytes, max_queued_messages, max_queued_bytes, max_inflight_messages, max_topic_levels;
    int64_t max_filters, message_size_limit, max_retained_messages, max_retained_bytes; // 0: any
    const char *retain_available;
    int64_t session_expiry_ns;           // 0: never
    int64_t max_connections_per_address; // 0: any
    const char *state, *state_sync;      // state NULL: none
    const char *record, *metrics;
    // derived from the options
    struct address listen[CONFIG_LISTEN_MAX];
    int listen_count;
    struct address metrics_address;
    struct pool_spec pools[BROKER_POOL_COUNT]; // without listeners
    struct relief_option relief;               // of --pressure
    struct plugins plugins;                    // of the strategies that --pool names by a path
};

const char *broker_pool_name(enum broker_pool pool);

// Returns an opts_result, or -EINVAL with the text in `err`. Strings in `config` point into argv. A config may
// not move while a pool of it is open.
int broker_config_parse(struct broker_config *config, int argc, char **argv, struct err *err)
    __attribute__((warn_unused_result));

void broker_config_print_help(void);
// --list-pools: every strategy with its summary, and those that --pool names by a path.
void broker_config_print_pools(const struct broker_config *config);

#endif
