// SPDX-License-Identifier: Apache-2.0
// Which of the two was the limit of a run: the generator or its target. A rate that the generator could not
// exceed says nothing of the target.
//
// A generator that has a CPU and time to spare waits for its target. One that has neither is the limit; when
// it was ready to run and had no CPU, the host is, which both share.
#ifndef POOLMARK_LOADGEN_LIMIT_H
#define POOLMARK_LOADGEN_LIMIT_H

#include <stdint.h>

enum limit_by {
    LIMIT_NONE, // what was asked for was had
    LIMIT_GENERATOR,
    LIMIT_TARGET,
    LIMIT_HOST, // no CPU was left for the generator
    LIMIT_UNKNOWN,
};

struct limit_facts {
    double asked_per_s; // 0: as fast as it goes
    double had_per_s;
    int64_t lag_p99_ns; // from the intended times to the acts; without a schedule not looked at
    // Of the time, the busiest worker thread's share on a CPU, and waiting for one; both 0: not known.
    double ran, waited;
};

struct limit {
    enum limit_by by;
    char why[160];
};

const char *limit_name(enum limit_by by); // "generator", for records
void limit_judge(struct limit *limit, const struct limit_facts *facts);

#endif
