// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/told.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

bool told_read(struct subject *broker, struct told *told)
{
    const char *line;
    int64_t value, in_use;
    char name[40];
    *told = (struct told){.connections = -1};
    subject_signal(broker, SIGUSR1);
    while ((line = subject_line(broker, "")) && strcmp(line, "end of statistics") != 0) {
        if (sscanf(line,
                   "connections %" SCNd64 ", sessions %" SCNd64 ", subscriptions %" SCNd64
                   ", retained %" SCNd64,
                   &told->connections, &told->sessions, &told->subscriptions, &told->retained) == 4)
            continue;
        // A pool: name, strategy, size and its unit, owned, in use.
        if (sscanf(line, "%39s %*s %*s %*s %" SCNd64 " %" SCNd64, name, &value, &in_use) == 3 &&
            (strcmp(name, "connections") == 0 || strcmp(name, "buffers") == 0 ||
             strcmp(name, "arenas") == 0 || strcmp(name, "messages") == 0))
            told->in_use += in_use;
        else if (sscanf(line, "%39s %" SCNd64, name, &value) != 2)
            continue;
        else if (strcmp(name, "messages_dropped") == 0)
            told->dropped = value;
        else if (strncmp(name, "memory_", 7) == 0 && strcmp(name, "memory_reserve") != 0 &&
                 strcmp(name, "memory_connections") != 0)
            told->accounts += value;
    }
    return line && told->connections >= 0;
}

bool told_is_empty(const struct told *told)
{
    return told->connections + told->sessions + told->subscriptions + told->retained + told->in_use +
               told->accounts ==
           0;
}
