// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engine.h"

#include "base/clock.h"

int64_t engine_process_clients(const struct engine *engine, int64_t descriptors)
{
    int64_t holds = descriptors > ENGINE_OWN_DESCRIPTORS + 2 ? descriptors - ENGINE_OWN_DESCRIPTORS : 2;
    return engine->clients_max < holds ? engine->clients_max : holds;
}

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
