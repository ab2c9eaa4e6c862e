// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engine.h"

#include "base/clock.h"
#include "loadgen/engines/paho.h"
#include "loadgen/engines/raw.h"

#include <string.h>

static const struct engine *const engines[] = {&engine_paho, &engine_raw, NULL};

void engine_wait_mask(sigset_t *mask)
{
    pthread_sigmask(SIG_SETMASK, NULL, mask);
    sigdelset(mask, SIGUSR1);
}

struct timespec engine_wait_time(int64_t until_ns)
{
    int64_t left_ns = until_ns - clock_now_ns();
    if (left_ns < 0)
        left_ns = 0;
    return (struct timespec){.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
}

const struct engine *const *engine_list(void)
{
    return engines;
}

const struct engine *engine_find(const char *name)
{
    for (int i = 0; engines[i]; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}
