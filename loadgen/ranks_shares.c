// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks_shares.h"

#include "loadgen/crew_parts.h"
#include "loadgen/engine.h"
#include "loadgen/pattern_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct maker {
    struct ranks_shares *shares;
    const struct config *config;
    const struct division_rank *of;
    struct division_rank
        *left; // the same, with the room that is left, and `only_watches` of ranks that are not to have any
    int64_t *has; // clients of each rank so far
};

// --- opening -----------------------------------------------------------------------------------------------

void ranks_shares_open(struct ranks_shares *shares, const struct config *config, int rank, int ranks)
{
    *shares = (struct ranks_shares){
        .count = config->crew_count > 0 ? config->crew_count : 1, .rank = rank, .ranks = ranks};
    for (int i = 0; i < shares->count; i++) {
        const struct config *own = config->crew_count > 0 ? config->crews[i].config : config;
        shares->of[i].clients = own->connections;
        shares->of[i].connecting = own->connections - own->later;
        shares->of[i].apart = config->crew_count > 0 && own->pattern.kind != PATTERN_PAIRS;
    }
}

void ranks_shares_close(struct ranks_shares *shares)
{
    for (int i = 0; i < shares->count; i++) {
        division_free(&shares->of[i].division);
        free(shares->of[i].parts);
    }
    *shares = (struct ranks_shares){.count = 0};
}

int64_t ranks_shares_clients(const struct ranks_shares *shares, int rank)
{
    int64_t clients = 0;
    for (int i = 0; i < shares->count; i++)
        clients += division_clients(&shares->of[i].division, shares->of[i].clients, rank);
    return clients;
}

int ranks_shares_workers(const struct ranks_shares *shares, int rank)
{
    int workers = 0;
    for (int i = 0; i < shares->count; i++)
        workers += shares->of[i].division.workers[rank];
    return workers;
}

const char *ranks_shares_topic(const struct identity *identity, const char *pattern, char *text, size_t size)
{
    const struct name_pattern *topic = &identity->topic;
    text[0] = '\0';
    if (topic->count > 0 && (!name_pattern_has(topic, NAME_PREFIX) ||
                             name_pattern_has(topic, NAME_CLIENT_ID) || name_pattern_has(topic, NAME_USER)))
        snprintf(
            text, size,
            "--topic \"%s\": with the pattern %s over ranks the topics of each rank are its own, and %%p "
            "differs by rank: the topic takes %%p, and neither %%c nor %%u",
            identity->topic_asked, pattern);
    return text;
}

// --- parts of patterns -------------------------------------------------------------------------------------

static int make_parts(struct ranks_shares *shares, const struct config *config, struct err *err)
{
    struct ranks_share *share = &shares->of[0];
    if (config->pattern.kind == PATTERN_PAIRS)
        return 0;
    share->parts = calloc((size_t)shares->ranks, sizeof *share->parts);
    if (!share->parts)
        return err_set(err, -ENOMEM, "out of memory for %d ranks", shares->ranks);
    int code = pattern_parts_make(share->parts, &config->pattern, &share->division, share->clients, err);
    share->used = code == 0 ? crew_parts_used(share->parts, shares->ranks) : 0;
    return code;
}

static void point_to_divisions(const struct ranks_shares *shares, const struct division *pointers[CREWS_MAX])
{
    for (int i = 0; i < shares->count; i++)
        pointers[i] = &shares->of[i].division;
}

// All crews of a pattern have parts of their own memory. -ERANGE as of crew_parts_make.
static int make_crew_parts(struct ranks_shares *shares, const struct config *config, int publishers)
{
    const struct division *divisions[CREWS_MAX];
    int code = 0;
    point_to_divisions(shares, divisions);
    for (int i = 0; i < shares->count && code == 0; i++) {
        struct ranks_share *share = &shares->of[i];
        if (!crew_parts_has(config->crews, i, publishers))
            continue;
        if (!share->parts)
            share->parts = calloc((size_t)shares->ranks, sizeof *share->parts);
        code = share->parts
                   ? crew_parts_make(share->parts, config->crews, shares->count, publishers, divisions)
                   : -ENOMEM;
        share->used = code == 0 ? crew_parts_used(share->parts, shares->ranks) : 0;
    }
    return code;
}

// --- crews -------------------------------------------------------------------------------------------------

static int divide_crew(const struct maker *maker, int crew, bool all, struct err *err)
{
    const struct config *config = maker->config->crews[crew].config;
    struct division_request request = {.way = maker->config->share,
                                       .clients = config->connections,
                                       .engine_clients = config->engine->clients,
                                       .engine_most = config->engine->clients_max,
                                       .clients_per_worker = config->clients_per_worker,
                                       .workers = config->workers,
                                       .even = config->even,
                                       .all = all,
                                       .ranks = maker->shares->ranks,
                                       .of = maker->left};
    division_free(&maker->shares->of[crew].division);
    int code = division_make(&maker->shares->of[crew].division, &request, err);
    return code < 0 ? err_prefix(err, code, "group %s", maker->config->crews[crew].name) : 0;
}

static int64_t clients_of(const struct maker *maker, int crew, int rank)
{
    const struct ranks_share *share = &maker->shares->of[crew];
    return division_clients(&share->division, share->clients, rank);
}

static void keep(const struct maker *maker, int crew)
{
    for (int rank = 0; rank < maker->shares->ranks; rank++)
        maker->has[rank] += clients_of(maker, crew, rank);
}

// What a rank has is taken from its room.
static void take_room(struct division_rank *left, int64_t clients)
{
    left->room_clients = left->room_clients > clients ? left->room_clients - clients : 0;
}

static void forget_choice(const struct maker *maker)
{
    for (int rank = 0; rank < maker->shares->ranks; rank++) {
        maker->left[rank] = maker->of[rank];
        take_room(&maker->left[rank], maker->has[rank]);
    }
}

// Is the rank better off than the other: has it less so far, or more room?
static bool comes_before(const struct maker *maker, int rank, int other)
{
    if (maker->config->share == DIVISION_FIT)
        return maker->left[rank].room_clients > maker->left[other].room_clients;
    return maker->has[rank] < maker->has[other];
}

// Leaves `wanted` ranks, those that are best off, in maker->left.
static void choose_ranks(const struct maker *maker, int wanted)
{
    int ranks = maker->shares->ranks, there = 0;
    forget_choice(maker);
    for (int rank = 0; rank < ranks; rank++)
        there += !maker->left[rank].only_watches;
    for (; there > wanted; there--) {
        int worst = -1;
        for (int rank = 0; rank < ranks; rank++)
            if (!maker->left[rank].only_watches && (worst < 0 || !comes_before(maker, rank, worst)))
                worst = rank;
        maker->left[worst].only_watches = true;
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// The most ranks that can have some of each crew of the pattern.
static int most_ranks(const struct maker *maker, int publishers)
{
    const struct config *config = maker->config;
    const struct pattern *pattern = &config->crews[publishers].config->pattern;
    int64_t most = 0;
    for (int rank = 0; rank < maker->shares->ranks; rank++)
        most += !maker->of[rank].only_watches;
    for (int i = 0; i < maker->shares->count; i++)
        if (crew_parts_has(config->crews, i, publishers))
            most = least(most, maker->shares->of[i].clients);
    if (pattern->kind == PATTERN_TOPICS)
        most = least(most, pattern->topics);
    return (int)most;
}

// The crews of a pattern, over so many ranks. -ERANGE: they are too many.
static int divide_over(const struct maker *maker, int publishers, int ranks, struct err *err)
{
    choose_ranks(maker, ranks);
    for (int i = 0; i < maker->shares->count; i++) {
        if (!crew_parts_has(maker->config->crews, i, publishers))
            continue;
        int code = divide_crew(maker, i, ranks > 1, err);
        if (code < 0)
            return code;
        for (int rank = 0; rank < maker->shares->ranks; rank++)
            take_room(&maker->left[rank], clients_of(maker, i, rank));
    }
    int code = make_crew_parts(maker->shares, maker->config, publishers);
    return code == -ENOMEM ? err_set(err, code, "out of memory for %d ranks", maker->shares->ranks) : code;
}

static int divide_pattern(const struct maker *maker, int publishers, struct err *err)
{
    const struct crew_request *crews = maker->config->crews;
    char text[sizeof err->text];
    int ranks = most_ranks(maker, publishers), code = -ERANGE;
    for (; ranks > 0 && code == -ERANGE; ranks--)
        code = divide_over(maker, publishers, ranks, err);
    if (code < 0)
        return code;
    for (int i = 0; i < maker->shares->count; i++)
        if (crew_parts_has(crews, i, publishers))
            keep(maker, i);
    const struct config *own = crews[publishers].config;
    if (maker->shares->of[publishers].used > 1 &&
        ranks_shares_topic(&own->identity, pattern_name(&own->pattern), text, sizeof text)[0])
        return err_set(err, -EINVAL, "group %s: %s", crews[publishers].name, text);
    return 0;
}

static int divide_crews(const struct maker *maker, struct err *err)
{
    int code = 0;
    for (int i = 0; i < maker->shares->count && code == 0; i++) {
        const struct crew_request *crew = &maker->config->crews[i];
        if (crew->messages_of != i)
            continue; // with its publishers
        if (crew->config->pattern.kind != PATTERN_PAIRS) {
            code = divide_pattern(maker, i, err);
            continue;
        }
        forget_choice(maker);
        code = divide_crew(maker, i, false, err);
        if (code == 0)
            keep(maker, i);
    }
    return code;
}

static int make_of_crews(struct ranks_shares *shares, const struct config *config,
                         const struct division_rank *of, struct err *err)
{
    struct maker maker = {.shares = shares, .config = config, .of = of};
    int code = -ENOMEM;
    maker.left = calloc((size_t)shares->ranks, sizeof *maker.left);
    maker.has = calloc((size_t)shares->ranks, sizeof *maker.has);
    if (maker.left && maker.has)
        code = divide_crews(&maker, err);
    else
        err_set(err, code, "out of memory for %d ranks", shares->ranks);
    free(maker.left);
    free(maker.has);
    return code;
}

// --- one for all clients -----------------------------------------------------------------------------------

// Parts of such a pattern (pattern_parts.h) have as many of both ends, too.
static bool has_as_many(const struct pattern *pattern)
{
    return pattern->kind != PATTERN_PAIRS && pattern->publishers == pattern->subscribers - pattern->apart;
}

static int make_of_all(struct ranks_shares *shares, const struct config *config,
                       const struct division_rank *of, struct err *err)
{
    struct division_request request = {.way = config->share,
                                       .clients = config->connections,
                                       .engine_clients = config->engine->clients,
                                       .engine_most = config->engine->clients_max,
                                       .clients_per_worker = config->clients_per_worker,
                                       .workers = config->workers,
                                       .split = config->split,
                                       .even = config->even || has_as_many(&config->pattern),
                                       .ranks = shares->ranks,
                                       .of = of};
    int code = division_make(&shares->of[0].division, &request, err);
    return code < 0 ? code : make_parts(shares, config, err);
}

int ranks_shares_make(struct ranks_shares *shares, const struct config *config,
                      const struct division_rank *of, bool apart, struct err *err)
{
    int code = config->crew_count > 0 ? make_of_crews(shares, config, of, err)
                                      : make_of_all(shares, config, of, err);
    for (int i = 0; i < shares->count; i++)
        shares->of[i].division.apart = apart;
    return code;
}

// --- what travels ------------------------------------------------------------------------------------------

json_t *ranks_shares_json(const struct ranks_shares *shares)
{
    json_t *list = json_array();
    for (int i = 0; i < shares->count; i++) {
        const struct division *division = &shares->of[i].division;
        json_t *workers = json_array();
        for (int rank = 0; rank < shares->ranks; rank++)
            json_array_append_new(workers, json_integer(division->workers[rank]));
        json_array_append_new(list, json_pack("{s:I,s:b,s:o}", "clients_per_worker",
                                              (json_int_t)division->clients_per_worker, "apart",
                                              division->apart, "workers", workers));
    }
    return list;
}

static int take_division(struct division *division, const struct ranks_shares *shares, int64_t split,
                         const json_t *json)
{
    const json_t *workers = json_object_get(json, "workers");
    int ranks = shares->ranks;
    *division = (struct division){.rank = shares->rank,
                                  .ranks = ranks,
                                  .clients_per_worker =
                                      json_integer_value(json_object_get(json, "clients_per_worker")),
                                  .apart = json_is_true(json_object_get(json, "apart")),
                                  .split = split,
                                  .workers = calloc((size_t)ranks, sizeof *division->workers)};
    if (!division->workers || json_array_size(workers) != (size_t)ranks)
        return -EPROTO;
    for (int rank = 0; rank < ranks; rank++)
        division->workers[rank] = (int)json_integer_value(json_array_get(workers, (size_t)rank));
    return 0;
}

int ranks_shares_take(struct ranks_shares *shares, const struct config *config, const json_t *json,
                      struct err *err)
{
    int code = json_array_size(json) == (size_t)shares->count ? 0 : -EPROTO;
    for (int i = 0; i < shares->count && code == 0; i++)
        code = take_division(&shares->of[i].division, shares, config->crew_count > 0 ? 0 : config->split,
                             json_array_get(json, (size_t)i));
    if (code < 0)
        return err_set(err, code, "the division that rank 0 told is none of this run");
    if (config->crew_count == 0)
        return make_parts(shares, config, err);
    for (int i = 0; i < shares->count && code == 0; i++)
        if (config->crews[i].messages_of == i && config->crews[i].config->pattern.kind != PATTERN_PAIRS)
            code = make_crew_parts(shares, config, i);
    return code < 0 ? err_set(err, code, "the division that rank 0 told has no parts of the pattern") : 0;
}
