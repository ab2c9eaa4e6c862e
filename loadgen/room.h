// SPDX-License-Identifier: Apache-2.0
// How many clients a host has room for, beside what it holds now, and by what: memory, open files or processes. The arithmetic is that of the clients' end alone: the target may be on another host. Each rank there (mpirun's
// daemon, the relay with MPI, the generator beside its workers) is counted too. --describe has the constants, so that
// `scripts/poolmark cluster` counts with the same.
//
//     struct room room;
//     struct room_asked asked = {.engine = engine, .clients = 1000, .ranks = 1};
//     room_facts_read(&facts);                        // on that host
//     room_judge(&room, &facts, &asked);              // on any
//     if (asked.clients > room.clients) ...room.by, room.mend...
#ifndef POOLMARK_LOADGEN_ROOM_H
#define POOLMARK_LOADGEN_ROOM_H

#include <jansson.h>
#include <stdint.h>

struct engine;

struct room_facts {          // -1: not known, and no bound
    int64_t memory_bytes;    // available
    int64_t file_max, files; // open files of the system: the most, and now
    int64_t processors;
    int64_t processes; // processes and threads that may still be started
};

struct room_asked {
    const struct engine *engine;
    int64_t clients; // the number that the commands in `mend` are for
    int64_t ranks;   // on that host, 1 and up
    int64_t workers; // of each rank, asked for; 0: not
};

struct room {
    int64_t clients;
    char by[64];    // what bounds it: "memory"
    char text[200]; // with the figures
    char mend[200]; // the command that mends it
};

// What this host has now.
void room_facts_read(struct room_facts *facts);

void room_judge(struct room *room, const struct room_facts *facts, const struct room_asked *asked);

// The constants of the arithmetic: a new reference.
json_t *room_describe(void);

#endif
