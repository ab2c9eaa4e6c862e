// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_strategy.h"

void pool_emit(const struct pool_config *config, const struct pool_event *event)
{
    if (config->listener)
        config->listener(config->listener_context, config->name, event);
}
