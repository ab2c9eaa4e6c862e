// SPDX-License-Identifier: Apache-2.0
// How many clients a host has room for, beside what it holds now, and by what: memory or open files. The arithmetic is that of `scripts/poolmark host`, of the clients' end alone: the target may be on another host.
//
//     struct room room;
//     room_facts_read(&facts);                        // on that host
//     room_judge(&room, &facts, engine, clients);     // on any
//     if (clients > room.clients) ...room.by, room.mend...
#ifndef POOLMARK_LOADGEN_ROOM_H
#define POOLMARK_LOADGEN_ROOM_H

#include <stdint.h>

struct engine;

struct room_facts {          // -1: not known, and no bound
    int64_t memory_bytes;    // available
    int64_t file_max, files; // open files of the system: the most, and now
    int64_t processors;
};

struct room {
    int64_t clients;
    char by[64];    // what bounds it: "memory"
    char text[200]; // with the figures
    char mend[200]; // the command that mends it
};

// What this host has now.
void room_facts_read(struct room_facts *facts);

// `wanted`: the number that the commands in `mend` are for.
void room_judge(struct room *room, const struct room_facts *facts, const struct engine *engine,
                int64_t wanted);

#endif
