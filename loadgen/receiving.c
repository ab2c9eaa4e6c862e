// SPDX-License-Identifier: Apache-2.0
#include "loadgen/receiving.h"

#include <stdio.h>
#include <string.h>

#define FULL 0.9     // a thread that ran or waited for so much of the time had none to spare (limit.c)
#define STARVED 0.25 // as there
#define HELD 0.01    // of the time: 1 delivery in 100 waited for it
#define UNREAD 0.1

double receiving_unread(const struct run *run)
{
    if (run->tally.count[TALLY_LOST] == 0)
        return 0;
    double lost = (double)run->tally.count[TALLY_LOST] * run->config->payload.mean;
    return lost > 0 ? (double)run->tally.count[TALLY_UNREAD_BYTES] / lost : 0;
}

// Of the clients' workers and the probes', the larger.
static double worst(const struct run *run, enum tally_count what)
{
    int64_t one = run->tally.count[what], two = run->probe_tally.count[what];
    return (double)(one > two ? one : two) / 1e6;
}

// Why a worker that receives had no time to spare; "" when it had.
static void explain(const struct run *run, char why[static 200])
{
    double ran = worst(run, TALLY_READ_RAN_PPM), waited = worst(run, TALLY_READ_WAITED_PPM);
    double held = worst(run, TALLY_READ_STALLED_PPM), unread = receiving_unread(run);
    why[0] = '\0';
    if (unread >= UNREAD)
        snprintf(why, 200, "%lld bytes from the target lay unread in its sockets at the end",
                 (long long)run->tally.count[TALLY_UNREAD_BYTES]);
    else if (held >= HELD)
        snprintf(why, 200,
                 "it was kept from running (stopped, or its machine was) for %.1f %% of the publishing",
                 held * 100);
    else if (ran + waited >= FULL || waited >= STARVED)
        snprintf(
            why, 200,
            "its busiest thread ran for %.0f %% of the publishing, and had no CPU though it was ready to "
            "run for %.0f %%",
            ran * 100, waited * 100);
}

bool receiving_was_late(const struct run *run)
{
    char why[200];
    explain(run, why);
    return why[0] != '\0';
}

bool receiving_judge(struct run *run)
{
    char why[200];
    explain(run, why);
    if (!why[0])
        return false;
    run_anomaly(run, "late_receiver",
                "a worker of the generator did not read in time: %s. Latencies of deliveries, and messages "
                "that were lost, may be its own",
                why);
    return true;
}

bool receiving_concerns(const char *metric, const char *unit, const char *better)
{
    if (strcmp(better, "none") == 0 || strncmp(metric, "cpu.", 4) == 0)
        return false;
    return (strcmp(unit, "ns") == 0 && strstr(metric, "delivery")) || strstr(metric, "messages.lost") != NULL;
}
