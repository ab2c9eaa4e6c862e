// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/scenarios.h"

#include <string.h>

// A scenario is a line here: X(NAME) is `scenario_NAME` of scenarios/NAME.c.
#define SCENARIOS                                                                                            \
    X(connect)                                                                                               \
    X(publish)                                                                                               \
    X(steps)                                                                                                 \
    X(churn)                                                                                                 \
    X(burst)                                                                                                 \
    X(storm)                                                                                                 \
    X(subscribe)                                                                                             \
    X(soak)                                                                                                  \
    X(slow)                                                                                                  \
    X(mix)

#define X(name) extern const struct scenario scenario_##name;
SCENARIOS
#undef X

#define X(name) &scenario_##name,
static const struct scenario *const scenarios[] = {SCENARIOS NULL};
#undef X

const struct scenario *const *scenario_list(void)
{
    return scenarios;
}

const struct scenario *scenario_find(const char *name)
{
    for (int i = 0; scenarios[i]; i++)
        if (strcmp(scenarios[i]->name, name) == 0)
            return scenarios[i];
    return NULL;
}
