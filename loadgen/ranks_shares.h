// SPDX-License-Identifier: Apache-2.0
// Which clients each of several ranks (ranks.h) has: of a run, or of each of its crews (crew.h), with the part of a pattern
// that comes with them. A share is a division and what follows from it. Rank 0 makes the shares of what the ranks said of
// themselves and tells the divisions; every rank makes the same parts of them.
//
// Crews whose clients have no messages of other crews are divided one by one. A crew of publishers and the crews that get its
// messages are divided together, over as many ranks as can have some of each of them: first over those that have least so
// far, or most room (--share fit).
//
//     struct ranks_shares shares;
//     ranks_shares_open(&shares, &config, rank, ranks);                 // nothing is divided yet
//     code = ranks_shares_make(&shares, &config, of, &err);             // rank 0
//     json = ranks_shares_json(&shares);
//     code = ranks_shares_take(&shares, &config, json, &err);           // the others
//     ranks_shares_close(&shares);
#ifndef POOLMARK_LOADGEN_RANKS_SHARES_H
#define POOLMARK_LOADGEN_RANKS_SHARES_H

#include "loadgen/config.h"
#include "loadgen/crew.h"
#include "loadgen/division.h"

#include <jansson.h>

struct ranks_share {
    struct division division; // without workers: not made yet
    int64_t clients;          // of all ranks
    int64_t connecting;       // of these, those of FLEET_CONNECT: the first
    struct pattern *parts;    // of each rank (pattern_parts.h, crew_parts.h); NULL: pairs, or no pattern
    int used;                 // the ranks that have a part
    bool apart;               // it is of a crew, and publishers and subscribers of a message may be of two
};

struct ranks_shares {
    struct ranks_share of[CREWS_MAX]; // of each crew; without crews one of all clients
    int count, rank, ranks;
};

void ranks_shares_open(struct ranks_shares *shares, const struct config *config, int rank, int ranks);
void ranks_shares_close(struct ranks_shares *shares); // a zeroed one too

// `of` each rank; `apart`: each has source addresses of its own. -EINVAL with the text: they cannot hold the clients, or a
// pattern cannot be divided so. -ENOMEM.
int ranks_shares_make(struct ranks_shares *shares, const struct config *config,
                      const struct division_rank *of, bool apart, struct err *err)
    __attribute__((warn_unused_result));

// The divisions, as JSON: a new reference. And back. -EPROTO with the text: it is none of this run.
json_t *ranks_shares_json(const struct ranks_shares *shares);
int ranks_shares_take(struct ranks_shares *shares, const struct config *config, const json_t *json,
                      struct err *err) __attribute__((warn_unused_result));

// Of all shares together.
int64_t ranks_shares_clients(const struct ranks_shares *shares, int rank);
int ranks_shares_workers(const struct ranks_shares *shares, int rank);

// Why the topics of an identity would not be each rank's own, as the patterns other than pairs want it; "": they are. Gives
// `text`.
const char *ranks_shares_topic(const struct identity *identity, const char *pattern, char *text, size_t size);

#endif
