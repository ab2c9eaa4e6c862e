// SPDX-License-Identifier: Apache-2.0
// Crews over ranks: all clients of each are somewhere, those that share messages are together, and every rank makes the same
// of what rank 0 tells.
#include "loadgen/crew_parts.h"
#include "loadgen/engine.h"
#include "loadgen/ranks_shares.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS_MOST = 5, GROUPS = 6 };

static const struct engine engine = {.name = "test", .clients = 1000};

// Sensors with boards and lazy readers; lights that one switch controls; pairs; phones.
enum { SENSORS, BOARDS, LAZY, SWITCH, LIGHTS, PHONES };

struct world {
    struct config config, own[GROUPS];
    struct crew_request crews[GROUPS];
    struct division_rank of[RANKS_MOST];
    struct ranks_shares shares;
};

static void add(struct world *world, int group, const char *name, int64_t clients, int messages_of,
                int64_t place)
{
    world->own[group].engine = &engine;
    world->own[group].connections = clients;
    world->crews[group] =
        (struct crew_request){.config = &world->own[group], .messages_of = messages_of, .place = place};
    strncpy(world->crews[group].name, name, sizeof world->crews[group].name - 1);
    world->config.connections += clients;
}

static void set_pattern(struct world *world, int publishers, enum pattern_kind kind, int64_t topics,
                        int64_t slow)
{
    struct pattern pattern = {
        .kind = kind, .topics = topics, .publishers = world->own[publishers].connections, .slow = slow};
    for (int i = 0; i < GROUPS; i++)
        if (i != publishers && world->crews[i].messages_of == publishers)
            pattern.subscribers += world->own[i].connections;
    pattern.apart = pattern.subscribers;
    for (int i = 0; i < GROUPS; i++)
        if (crew_parts_has(world->crews, i, publishers))
            world->own[i].pattern = pattern;
}

static struct world *new_world(enum pattern_kind kind, int64_t topics, int64_t sensors, int64_t boards,
                               int64_t lazy)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->config.engine = &engine;
    world->config.crews = world->crews;
    world->config.crew_count = GROUPS;
    add(world, SENSORS, "sensors", sensors, SENSORS, 0);
    add(world, BOARDS, "boards", boards, SENSORS, sensors);
    add(world, LAZY, "lazy", lazy, SENSORS, sensors + boards);
    add(world, SWITCH, "switch", 1, SWITCH, 0);
    add(world, LIGHTS, "lights", 9, SWITCH, 1);
    add(world, PHONES, "phones", 100, PHONES, 0);
    set_pattern(world, SENSORS, kind, topics, lazy);
    set_pattern(world, SWITCH, PATTERN_FAN_OUT, 1, 0);
    for (int rank = 0; rank < RANKS_MOST; rank++)
        world->of[rank] = (struct division_rank){2, 19000, 1000000, false, NULL};
    return world;
}

static void close_world(struct world *world)
{
    ranks_shares_close(&world->shares);
    free(world);
}

static int make(struct world *world, int ranks, struct err *err)
{
    ranks_shares_open(&world->shares, &world->config, 0, ranks);
    return ranks_shares_make(&world->shares, &world->config, world->of, false, err);
}

static void make_fine(struct world *world, int ranks)
{
    struct err err = {0};
    if (make(world, ranks, &err) < 0)
        fail_msg("%s", err.text);
}

static int64_t clients_of(const struct world *world, int group, int rank)
{
    const struct ranks_share *share = &world->shares.of[group];
    return division_clients(&share->division, share->clients, rank);
}

static void assert_all_are_there(const struct world *world)
{
    for (int group = 0; group < GROUPS; group++) {
        int64_t all = 0;
        for (int rank = 0; rank < world->shares.ranks; rank++)
            all += clients_of(world, group, rank);
        assert_int_equal(all, world->own[group].connections);
    }
}

static void assert_same_part(const struct pattern *one, const struct pattern *other)
{
    assert_int_equal(one->kind, other->kind);
    assert_int_equal(one->publishers, other->publishers);
    assert_int_equal(one->subscribers, other->subscribers);
    assert_int_equal(one->topics, other->topics);
    assert_int_equal(one->slow, other->slow);
    assert_int_equal(one->before, other->before);
}

// Of a pattern: each rank has some of every crew or none, the parts are the whole, and publishers are in one row of turns.
static void assert_together(const struct world *world, int publishers)
{
    const struct pattern *whole = &world->own[publishers].pattern;
    int64_t before = 0, subscribers = 0, slow = 0, topics = 0;
    int used = 0;
    for (int rank = 0; rank < world->shares.ranks; rank++) {
        const struct pattern *part = &world->shares.of[publishers].parts[rank];
        for (int i = 0; i < GROUPS; i++)
            if (crew_parts_has(world->crews, i, publishers)) {
                assert_true((clients_of(world, i, rank) > 0) == (pattern_clients(part) > 0));
                assert_same_part(part, &world->shares.of[i].parts[rank]);
            }
        assert_int_equal(part->turns, whole->publishers);
        assert_int_equal(part->before, before);
        assert_int_equal(part->apart, part->subscribers);
        before += part->publishers;
        subscribers += part->subscribers;
        slow += part->slow;
        if (pattern_clients(part) == 0)
            continue;
        used++;
        topics += part->topics;
        assert_in_range(part->topics, 1,
                        part->publishers < part->subscribers ? part->publishers : part->subscribers);
    }
    assert_int_equal(before, whole->publishers);
    assert_int_equal(subscribers, whole->subscribers);
    assert_int_equal(slow, whole->slow);
    assert_int_equal(used, world->shares.of[publishers].used);
    if (whole->kind == PATTERN_TOPICS)
        assert_int_equal(topics, whole->topics);
}

// Publishers come first in a part, then the crews of subscribers in their order: no number twice, none left out.
static void assert_places(const struct world *world, int publishers)
{
    const struct division *divisions[CREWS_MAX];
    for (int i = 0; i < GROUPS; i++)
        divisions[i] = &world->shares.of[i].division;
    for (int rank = 0; rank < world->shares.ranks; rank++) {
        int64_t next = 0;
        for (int i = 0; i < GROUPS; i++) { // here in the order of their places
            if (!crew_parts_has(world->crews, i, publishers))
                continue;
            assert_int_equal(crew_parts_place(world->crews, GROUPS, i, divisions, rank), next);
            next += clients_of(world, i, rank);
        }
        assert_int_equal(next, pattern_clients(&world->shares.of[publishers].parts[rank]));
    }
}

static void those_that_share_messages_are_together(void **state)
{
    (void)state;
    for (int ranks = 2; ranks <= RANKS_MOST; ranks++)
        for (int64_t boards = 1; boards < 12; boards++)
            for (int64_t sensors = 1; sensors < 40; sensors += 3) {
                struct world *world = new_world(PATTERN_FAN_IN, 1, sensors, boards, 3);
                make_fine(world, ranks);
                assert_all_are_there(world);
                assert_together(world, SENSORS);
                assert_places(world, SENSORS);
                assert_together(world, SWITCH);
                assert_places(world, SWITCH);
                int64_t least = boards < 3 ? boards : 3;
                least = sensors < least ? sensors : least;
                assert_int_equal(world->shares.of[SENSORS].used, least < ranks ? least : ranks);
                close_world(world);
            }
}

static void parts_share_the_topics(void **state)
{
    (void)state;
    for (int ranks = 2; ranks <= RANKS_MOST; ranks++)
        for (int64_t topics = 1; topics <= 12; topics++) {
            struct world *world = new_world(PATTERN_TOPICS, topics, 12, 20, 7);
            make_fine(world, ranks);
            assert_all_are_there(world);
            assert_together(world, SENSORS);
            assert_int_equal(world->shares.of[SENSORS].used, topics < ranks ? topics : ranks);
            close_world(world);
        }
}

// What only one rank can have is not all on the same one.
static void a_pattern_of_one_rank_goes_where_least_is(void **state)
{
    (void)state;
    struct world *world = new_world(PATTERN_FAN_IN, 1, 500, 1, 1);
    make_fine(world, 2);
    assert_int_equal(clients_of(world, SENSORS, 0), 500);
    assert_int_equal(clients_of(world, SWITCH, 0), 0);
    assert_int_equal(clients_of(world, SWITCH, 1), 1);
    assert_int_equal(clients_of(world, LIGHTS, 1), 9);
    assert_int_equal(clients_of(world, PHONES, 0), 50);
    close_world(world);
}

// Asked shares of a worker may leave a rank without one: then the pattern is on fewer ranks.
static void asked_workers_stay_as_asked(void **state)
{
    (void)state;
    struct world *world = new_world(PATTERN_FAN_IN, 1, 12, 4, 4);
    world->own[BOARDS].clients_per_worker = 2;
    make_fine(world, 4);
    assert_all_are_there(world);
    assert_together(world, SENSORS);
    assert_int_equal(world->shares.of[SENSORS].used, 2);
    close_world(world);
}

static void a_rank_that_only_watches_has_none(void **state)
{
    (void)state;
    struct world *world = new_world(PATTERN_FAN_IN, 1, 30, 10, 10);
    world->of[1].only_watches = true;
    make_fine(world, 3);
    assert_all_are_there(world);
    assert_together(world, SENSORS);
    assert_int_equal(ranks_shares_clients(&world->shares, 1), 0);
    assert_int_equal(ranks_shares_workers(&world->shares, 1), 0);
    assert_int_equal(ranks_shares_clients(&world->shares, 0) + ranks_shares_clients(&world->shares, 2),
                     world->config.connections);
    close_world(world);
}

static void crews_that_fit_leave_a_full_rank_out(void **state)
{
    (void)state;
    struct world *world = new_world(PATTERN_FAN_IN, 1, 300, 30, 30);
    struct err err = {0};
    world->config.share = DIVISION_FIT;
    world->of[1].room_clients = 0;
    world->of[2].room_clients = 200;
    make_fine(world, 3);
    assert_all_are_there(world);
    assert_together(world, SENSORS);
    assert_int_equal(ranks_shares_clients(&world->shares, 1), 0);
    assert_true(ranks_shares_clients(&world->shares, 2) <= 200);
    ranks_shares_close(&world->shares);
    world->of[0].room_clients = 100;
    assert_int_equal(make(world, 3, &err), -EINVAL);
    assert_non_null(strstr(err.text, "group sensors: the ranks together have room for"));
    close_world(world);
}

static void topics_of_several_ranks_take_the_prefix(void **state)
{
    (void)state;
    struct world *world = new_world(PATTERN_FAN_IN, 1, 30, 10, 10);
    struct err err = {0};
    for (int group = SENSORS; group <= SWITCH; group += SWITCH) {
        struct identity *identity = &world->own[group].identity;
        identity->topic_asked = "house/%i";
        assert_int_equal(name_pattern_parse(&identity->topic, identity->topic_asked, &err), 0);
    }
    assert_int_equal(make(world, 3, &err), -EINVAL); // that of the switch, on one rank, is fine
    assert_non_null(strstr(err.text, "group sensors: --topic \"house/%i\""));
    ranks_shares_close(&world->shares);
    world->own[SENSORS].identity.topic_asked = "%p/%i";
    assert_int_equal(name_pattern_parse(&world->own[SENSORS].identity.topic, "%p/%i", &err), 0);
    make_fine(world, 3);
    close_world(world);
}

static void the_others_make_the_same_of_it(void **state)
{
    (void)state;
    struct world *world = new_world(PATTERN_TOPICS, 5, 30, 10, 10);
    struct ranks_shares taken;
    struct err err = {0};
    make_fine(world, 3);
    json_t *json = ranks_shares_json(&world->shares);
    ranks_shares_open(&taken, &world->config, 2, 3);
    if (ranks_shares_take(&taken, &world->config, json, &err) < 0)
        fail_msg("%s", err.text);
    for (int group = 0; group < GROUPS; group++) {
        const struct ranks_share *one = &world->shares.of[group], *other = &taken.of[group];
        assert_int_equal(other->division.rank, 2);
        assert_int_equal(one->division.clients_per_worker, other->division.clients_per_worker);
        assert_memory_equal(one->division.workers, other->division.workers,
                            3 * sizeof *one->division.workers);
        assert_true(!one->parts == !other->parts && one->used == other->used);
        for (int rank = 0; one->parts && rank < 3; rank++)
            assert_same_part(&one->parts[rank], &other->parts[rank]);
    }
    ranks_shares_close(&taken);
    json_array_remove(json, 0);
    ranks_shares_open(&taken, &world->config, 1, 3);
    assert_int_equal(ranks_shares_take(&taken, &world->config, json, &err), -EPROTO);
    ranks_shares_close(&taken);
    json_decref(json);
    close_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_share_messages_are_together),
        cmocka_unit_test(parts_share_the_topics),
        cmocka_unit_test(a_pattern_of_one_rank_goes_where_least_is),
        cmocka_unit_test(asked_workers_stay_as_asked),
        cmocka_unit_test(a_rank_that_only_watches_has_none),
        cmocka_unit_test(crews_that_fit_leave_a_full_rank_out),
        cmocka_unit_test(topics_of_several_ranks_take_the_prefix),
        cmocka_unit_test(the_others_make_the_same_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
