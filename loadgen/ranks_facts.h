// SPDX-License-Identifier: Apache-2.0
// What a rank (ranks.h) says of itself before a run, as JSON, and what rank 0 reads in it: its host, its network, its build,
// what it has room for, and a checksum of what it is to do. A rank that read another --mix, --users or payload file than rank 0
// would play another run.
//
//     json = ranks_facts_json(&config, &asked);                 // a new reference
//     code = ranks_facts_check(&ranks, &config, &apart, &err);  // rank 0, of all
#ifndef POOLMARK_LOADGEN_RANKS_FACTS_H
#define POOLMARK_LOADGEN_RANKS_FACTS_H

#include "loadgen/config.h"
#include "loadgen/ranks.h"
#include "loadgen/room.h"

#include <jansson.h>

struct ranks_asked {   // what the command line asks for here
    const char *wrong; // what is wrong with it; NULL: nothing
    uint64_t sum;      // of all that decides what is done
};

json_t *ranks_facts_json(const struct config *config, const struct ranks_asked *asked);

// -EINVAL with the text: a rank cannot go on, runs another build, would play another run, or has none of the sources. `*apart`:
// each rank has a network of its own.
int ranks_facts_check(const struct ranks *ranks, const struct config *config, bool *apart, struct err *err)
    __attribute__((warn_unused_result));

// The ranks on that rank's host, itself too.
int ranks_facts_beside(const struct ranks *ranks, int rank);

// What the rank's host has room for, where it is to hold so many clients of all its ranks.
void ranks_facts_room(const struct ranks *ranks, const struct config *config, int rank, int64_t clients,
                      struct room *room);
bool ranks_facts_same_host(const struct ranks *ranks, int a, int b);
int64_t ranks_facts_number(const json_t *json, const char *key); // -1: there is none
const char *ranks_facts_text(const json_t *json, const char *key);

#endif
