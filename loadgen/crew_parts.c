// SPDX-License-Identifier: Apache-2.0
#include "loadgen/crew_parts.h"

#include <errno.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t clients_of(const struct crew_request *crews, int crew, const struct division *const *divisions,
                          int rank)
{
    return division_clients(divisions[crew], crews[crew].config->connections, rank);
}

// The part of one rank, without its topics. -ERANGE: some crews have clients there, and others have none.
static int make_part(struct pattern *part, const struct crew_request *crews, int count, int publishers,
                     const struct division *const *divisions, int rank)
{
    const struct pattern *whole = &crews[publishers].config->pattern;
    int64_t first_slow = pattern_clients(whole) - whole->slow;
    int there = 0, all = 0;
    *part = (struct pattern){.kind = whole->kind, .topics = 1, .turns = whole->publishers};
    for (int i = 0; i < count; i++) {
        if (!crew_parts_has(crews, i, publishers))
            continue; // it may not be divided yet
        int64_t clients = clients_of(crews, i, divisions, rank);
        all++;
        there += clients > 0;
        if (i == publishers) {
            part->publishers = clients;
            continue;
        }
        part->subscribers += clients;
        part->slow += crews[i].place >= first_slow ? clients : 0;
    }
    part->apart = part->subscribers;
    return there == 0 || there == all ? 0 : -ERANGE;
}

static int64_t most_topics(const struct pattern *part)
{
    return least(part->publishers, part->subscribers);
}

// One topic for each part, and the others in proportion to what more each can have.
static int share_topics(struct pattern *parts, int ranks, int64_t topics)
{
    int64_t used = 0, more = 0, given = 0, left;
    for (int rank = 0; rank < ranks; rank++) {
        used += pattern_clients(&parts[rank]) > 0;
        more += pattern_clients(&parts[rank]) > 0 ? most_topics(&parts[rank]) - 1 : 0;
    }
    left = topics - used;
    if (left < 0 || left > more)
        return -ERANGE;
    for (int rank = 0; rank < ranks && more > 0; rank++) {
        if (pattern_clients(&parts[rank]) == 0)
            continue;
        int64_t own = left * (most_topics(&parts[rank]) - 1) / more;
        parts[rank].topics += own;
        given += own;
    }
    for (int rank = 0; rank < ranks; rank++) { // what was rounded down
        int64_t room = pattern_clients(&parts[rank]) > 0 ? most_topics(&parts[rank]) - parts[rank].topics : 0;
        int64_t own = least(room, left - given);
        parts[rank].topics += own;
        given += own;
    }
    return 0;
}

int crew_parts_make(struct pattern *parts, const struct crew_request *crews, int count, int publishers,
                    const struct division *const *divisions)
{
    const struct pattern *whole = &crews[publishers].config->pattern;
    int ranks = divisions[publishers]->ranks, code = 0;
    int64_t before = 0;
    for (int rank = 0; rank < ranks && code == 0; rank++) {
        code = make_part(&parts[rank], crews, count, publishers, divisions, rank);
        parts[rank].before = before;
        before += parts[rank].publishers;
    }
    if (code == 0 && whole->kind == PATTERN_TOPICS)
        code = share_topics(parts, ranks, whole->topics);
    return code;
}

int64_t crew_parts_place(const struct crew_request *crews, int count, int crew,
                         const struct division *const *divisions, int rank)
{
    int publishers = crews[crew].messages_of;
    int64_t place = 0;
    for (int i = 0; i < count; i++)
        if (crew_parts_has(crews, i, publishers) && crews[i].place < crews[crew].place)
            place += clients_of(crews, i, divisions, rank);
    return place;
}

int crew_parts_used(const struct pattern *parts, int ranks)
{
    int used = 0;
    for (int rank = 0; rank < ranks; rank++)
        used += pattern_clients(&parts[rank]) > 0;
    return used;
}
