// SPDX-License-Identifier: Apache-2.0
#include "loadgen/pattern_parts.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct row {         // of one rank
    int64_t has;     // clients that are not slow
    int64_t clients; // of these, those of its part
    int64_t
        fewer; // of its part: publishers or subscribers that are not slow, whichever the whole has fewer of
    int64_t topics;
    int64_t slow;
};

struct table {
    const struct pattern *whole;
    int ranks, used; // the ranks that have a part
    int64_t normal;  // clients of the pattern that are not slow
    int64_t readers; // subscribers that are not slow
    int64_t fewer;   // publishers or readers, whichever are fewer
    int64_t unit;    // 2: as many of both, so each part has, too, where the division is even; otherwise 1
    struct row *rows;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t *of(const struct table *table, int rank, size_t field)
{
    return (int64_t *)(void *)((char *)&table->rows[rank] + field);
}

// A rank that got none and has a weight takes a unit from the rank that got most.
static void leave_none_out(const struct table *table, size_t into, size_t by, int64_t unit)
{
    for (int rank = 0; rank < table->ranks; rank++) {
        int most = 0;
        for (int other = 1; other < table->ranks; other++)
            most = *of(table, other, into) > *of(table, most, into) ? other : most;
        if (*of(table, rank, into) > 0 || *of(table, rank, by) == 0 || *of(table, most, into) < 2 * unit)
            continue;
        *of(table, most, into) -= unit;
        *of(table, rank, into) += unit;
    }
}

// Divides `all`, in whole units, in proportion to the field `by` of each rank, into the field `into`.
static void divide(const struct table *table, size_t into, int64_t all, size_t by, int64_t unit)
{
    int64_t sum = 0, before = 0, given = 0;
    for (int rank = 0; rank < table->ranks; rank++)
        sum += *of(table, rank, by);
    for (int rank = 0; rank < table->ranks && sum > 0; rank++) {
        before += *of(table, rank, by);
        int64_t until = all / unit * before / sum * unit;
        *of(table, rank, into) = until - given;
        given = until;
    }
    leave_none_out(table, into, by, unit);
}

// Ranks with clients, of which as many have parts as there is something for each.
static void choose_ranks(struct table *table, const struct division *division, int64_t clients)
{
    const struct pattern *whole = table->whole;
    int64_t most = whole->kind == PATTERN_TOPICS ? least(table->fewer, whole->topics) : table->fewer;
    for (int rank = 0; rank < table->ranks; rank++) {
        struct row *row = &table->rows[rank];
        int64_t all = division_clients(division, clients, rank);
        row->has = division->split > 0 ? division_first(division, clients, division->split, rank) : all;
        row->slow = all - row->has;
        row->has -= row->has % table->unit; // an idle one may be alone
        if (row->has > 0 && table->used < most)
            table->used++;
        else
            row->has = 0;
    }
}

static int check_room(const struct table *table, struct err *err)
{
    const struct pattern *whole = table->whole;
    int64_t has = 0;
    char topics[48] = "";
    for (int rank = 0; rank < table->ranks; rank++)
        has += table->rows[rank].has;
    if (has >= table->normal)
        return 0;
    if (whole->kind == PATTERN_TOPICS)
        snprintf(topics, sizeof topics, ", %lld topics", (long long)whole->topics);
    return err_set(err, -EINVAL,
                   "pattern %s over %d ranks: those that share messages are on one rank. %lld publishers, "
                   "%lld subscribers%s%s are enough for %d of the ranks, which have %lld of the pattern's "
                   "%lld clients: give at least %d of each",
                   pattern_name(whole), table->ranks, (long long)whole->publishers, (long long)table->readers,
                   whole->slow > 0 ? " that are not slow" : "", topics, table->used, (long long)has,
                   (long long)table->normal, table->ranks);
}

// What a part lacks in topics, because it has too few of either end, goes to parts that have more.
static void move_topics(struct table *table)
{
    int64_t left = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int rank = 0; rank < table->ranks; rank++) {
            struct row *row = &table->rows[rank];
            int64_t room = least(row->fewer, row->clients - row->fewer) - row->topics;
            int64_t moved = pass == 0 ? (room < 0 ? room : 0) : (room > 0 ? least(room, left) : 0);
            row->topics += moved;
            left -= moved;
        }
}

static void fill_parts(const struct table *table, struct pattern *parts)
{
    const struct pattern *whole = table->whole;
    int64_t before = 0;
    for (int rank = 0; rank < table->ranks; rank++) {
        const struct row *row = &table->rows[rank];
        int64_t publishers = whole->publishers == table->fewer ? row->fewer : row->clients - row->fewer;
        parts[rank] = (struct pattern){.kind = whole->kind,
                                       .publishers = publishers,
                                       .subscribers = row->clients - publishers + row->slow,
                                       .topics = row->topics > 0 ? row->topics : 1,
                                       .apart = row->slow,
                                       .slow = whole->slow > 0 ? row->slow : 0,
                                       .turns = whole->publishers,
                                       .before = before};
        before += publishers;
    }
}

static int check_parts(const struct table *table, struct err *err)
{
    int64_t topics = 0;
    for (int rank = 0; rank < table->ranks; rank++) {
        const struct row *row = &table->rows[rank];
        topics += row->topics;
        if ((row->has == 0 && row->slow == 0) ||
            (row->topics > 0 && row->fewer > 0 && row->clients - row->fewer > 0))
            continue;
        return err_set(err, -EINVAL,
                       "pattern %s over %d ranks: those that share messages are on one rank, and rank %d "
                       "would have %lld clients of the pattern, %lld of them slow, with none to share with: "
                       "give more publishers and subscribers, or other --workers",
                       pattern_name(table->whole), table->ranks, rank, (long long)(row->clients + row->slow),
                       (long long)row->slow);
    }
    if (table->whole->kind == PATTERN_TOPICS && topics != table->whole->topics)
        return err_set(err, -EINVAL,
                       "pattern topics over %d ranks: a topic is on one rank, and of %lld topics %lld can "
                       "have publishers and subscribers there: give more of either, or fewer topics",
                       table->ranks, (long long)table->whole->topics, (long long)topics);
    return 0;
}

static int make(struct table *table, struct pattern *parts, const struct division *division, int64_t clients,
                struct err *err)
{
    const struct pattern *whole = table->whole;
    choose_ranks(table, division, clients);
    int code = check_room(table, err);
    if (code < 0)
        return code;
    divide(table, offsetof(struct row, clients), table->normal, offsetof(struct row, has), table->unit);
    divide(table, offsetof(struct row, fewer), table->fewer, offsetof(struct row, clients), 1);
    for (int rank = 0; rank < table->ranks; rank++)
        table->rows[rank].topics = table->rows[rank].clients > 0; // of a fan
    if (whole->kind == PATTERN_TOPICS) {
        divide(table, offsetof(struct row, topics), whole->topics, offsetof(struct row, clients), 1);
        move_topics(table);
    }
    code = check_parts(table, err);
    if (code == 0)
        fill_parts(table, parts);
    return code;
}

int pattern_parts_make(struct pattern *parts, const struct pattern *whole, const struct division *division,
                       int64_t clients, struct err *err)
{
    struct table table = {.whole = whole,
                          .ranks = division->ranks,
                          .normal = pattern_first_apart(whole),
                          .readers = whole->subscribers - whole->apart};
    table.fewer = least(whole->publishers, table.readers);
    table.unit = whole->publishers == table.readers ? 2 : 1;
    table.rows = calloc((size_t)table.ranks, sizeof *table.rows);
    if (!table.rows)
        return err_set(err, -ENOMEM, "out of memory for the pattern's parts of %d ranks", table.ranks);
    int code = make(&table, parts, division, clients, err);
    free(table.rows);
    return code;
}
