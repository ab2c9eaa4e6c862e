// SPDX-License-Identifier: Apache-2.0
// Memory nodes: the kernel's list of them, and what slab does on a machine that pretends to have several. Two threads
// stay alive, each on a node of its own, and act in turns.
#include "pools/pool_strategy.h"
#include "pools/shared/memory_node.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EACH = 2000, ALL = 2 * EACH, OBJECT_BYTES = 2048 };

static _Thread_local int own_node;

static int pretended_node(void)
{
    return own_node;
}

static const struct memory_node_map one_node = {1, pretended_node}, two_nodes = {2, pretended_node};

// What the turn is; each thread does its part of it.
enum act { ACT_GET_FIRST, ACT_PUT, ACT_GET, ACT_END };

struct stage;

struct player {
    struct stage *stage;
    pthread_t thread;
    int node;
    void *first[EACH]; // objects that it had first
    void *objects[ALL];
    int count; // objects that it has
    int wish;  // objects to get
};

struct stage {
    struct pool *pool;
    struct player players[2];
    int turn; // the player whose turn it is
    enum act act;
    pthread_barrier_t begin, end;
};

static void do_act(struct player *player)
{
    struct stage *stage = player->stage;
    if (stage->act == ACT_PUT) {
        while (player->count > 0)
            pool_put(stage->pool, player->objects[--player->count]);
        return;
    }
    for (int i = 0; i < player->wish; i++) {
        void *object = pool_get(stage->pool);
        if (!object)
            return;
        if (stage->act == ACT_GET_FIRST)
            player->first[i] = object;
        player->objects[player->count++] = object;
    }
}

static void *play(void *context)
{
    struct player *player = context;
    struct stage *stage = player->stage;
    own_node = player->node;
    for (bool goes_on = true; goes_on;) {
        pthread_barrier_wait(&stage->begin);
        goes_on = stage->act != ACT_END;
        if (goes_on && &stage->players[stage->turn] == player)
            do_act(player);
        pthread_barrier_wait(&stage->end);
    }
    return NULL;
}

static void act(struct stage *stage, int turn, enum act act, int wish)
{
    stage->turn = turn;
    stage->act = act;
    stage->players[turn].wish = wish;
    pthread_barrier_wait(&stage->begin);
    pthread_barrier_wait(&stage->end);
}

// Each thread has got half of the objects and has put them back.
static void begin(struct stage *stage, const struct memory_node_map *map, enum pool_overflow overflow)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "nodes";
    config.object_bytes = OBJECT_BYTES;
    config.initial = config.max = ALL;
    config.growth_mode = POOL_GROW_INLINE;
    config.overflow = overflow;
    memory_node_pretend(map);
    assert_int_equal(pool_open(&stage->pool, pool_strategy_find("slab"), &config, NULL), 0);
    assert_int_equal(pthread_barrier_init(&stage->begin, NULL, 3), 0);
    assert_int_equal(pthread_barrier_init(&stage->end, NULL, 3), 0);
    for (int i = 0; i < 2; i++) {
        struct player *player = &stage->players[i];
        player->stage = stage;
        player->node = i;
        player->count = 0;
        assert_int_equal(pthread_create(&player->thread, NULL, play, player), 0);
    }
    for (int i = 0; i < 2; i++)
        act(stage, i, ACT_GET_FIRST, EACH);
    for (int i = 0; i < 2; i++)
        act(stage, i, ACT_PUT, 0);
}

static void end(struct stage *stage)
{
    for (int i = 0; i < 2; i++)
        act(stage, i, ACT_PUT, 0);
    act(stage, 0, ACT_END, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(stage->players[i].thread, NULL), 0);
    pthread_barrier_destroy(&stage->begin);
    pthread_barrier_destroy(&stage->end);
    pool_close(stage->pool);
    memory_node_pretend(NULL);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t) * (void *const *)a, right = (uintptr_t) * (void *const *)b;
    return (left > right) - (left < right);
}

// Objects that this player has and the other one had first.
static int count_far(struct player *player)
{
    int far = 0;
    qsort(player->first, EACH, sizeof player->first[0], by_address);
    for (int i = 0; i < player->count; i++)
        far += !bsearch(&player->objects[i], player->first, EACH, sizeof player->first[0], by_address);
    return far;
}

static void test_objects_come_back_to_the_node_that_put_them(void **state)
{
    (void)state;
    static struct stage stage;
    begin(&stage, &two_nodes, POOL_OVERFLOW_REFUSE);
    for (int i = 0; i < 2; i++) {
        act(&stage, i, ACT_GET, EACH / 2);
        assert_int_equal(stage.players[i].count, EACH / 2);
        assert_int_equal(count_far(&stage.players[i]), 0);
    }
    end(&stage);
}

// The same on one node: the second thread's magazines lie above those of the first.
static void test_on_one_node_they_do_not(void **state)
{
    (void)state;
    static struct stage stage;
    begin(&stage, &one_node, POOL_OVERFLOW_REFUSE);
    act(&stage, 0, ACT_GET, EACH);
    assert_int_equal(stage.players[0].count, EACH);
    assert_true(count_far(&stage.players[0]) > 0);
    end(&stage);
}

// Nothing is refused or made anew while another node has free objects.
static void test_a_node_without_objects_gets_those_of_the_others(void **state)
{
    (void)state;
    static struct stage stage;
    struct pool_stats stats;
    begin(&stage, &two_nodes, POOL_OVERFLOW_REFUSE);
    act(&stage, 1, ACT_GET, ALL);
    assert_int_equal(stage.players[1].count, ALL);
    assert_int_equal(count_far(&stage.players[1]), EACH);
    act(&stage, 0, ACT_GET, 1);
    assert_int_equal(stage.players[0].count, 0);
    pool_stats(stage.pool, &stats);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.owned, ALL);
    end(&stage);
}

static void test_a_trim_finds_the_objects_of_every_node(void **state)
{
    (void)state;
    static struct stage stage;
    struct pool_stats stats;
    begin(&stage, &two_nodes, POOL_OVERFLOW_HEAP);
    assert_true(pool_trim(stage.pool) >= (int64_t)ALL * OBJECT_BYTES / 2);
    pool_stats(stage.pool, &stats);
    assert_int_equal(stats.owned, 0);
    act(&stage, 0, ACT_GET, EACH);
    assert_int_equal(stage.players[0].count, EACH);
    end(&stage);
}

enum { THREADS = 4, HELD = 300, ROUNDS = 600 };

static atomic_uint hops;

// Every look finds the thread on another node, as if the kernel moved it all the time.
static int hopping_node(void)
{
    return (int)(atomic_fetch_add_explicit(&hops, 1, memory_order_relaxed) % 3);
}

static void *fill_and_empty(void *context)
{
    struct pool *pool = context;
    void *objects[HELD];
    intptr_t refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int count = HELD - round % 7 * 40;
        for (int i = 0; i < count; i++)
            refused += !(objects[i] = pool_get(pool));
        for (int i = 0; i < count; i++)
            pool_put(pool, objects[i]);
    }
    return (void *)refused;
}

// All threads together may have as many objects as the pool, so at every instant of a get one is free: no get may be
// refused, wherever the magazines lie.
static void test_at_the_bound_no_free_object_is_overlooked(void **state)
{
    (void)state;
    static const struct memory_node_map three_nodes = {3, hopping_node};
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    pthread_t threads[THREADS];
    config.name = "nodes";
    config.object_bytes = OBJECT_BYTES;
    config.max = THREADS * HELD;
    config.overflow = POOL_OVERFLOW_REFUSE;
    memory_node_pretend(&three_nodes);
    assert_int_equal(pool_open(&pool, pool_strategy_find("slab"), &config, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill_and_empty, pool), 0);
    for (int i = 0; i < THREADS; i++) {
        void *refused;
        assert_int_equal(pthread_join(threads[i], &refused), 0);
        assert_null(refused);
    }
    struct pool_stats stats;
    pool_stats(pool, &stats);
    assert_int_equal(stats.in_use, 0);
    assert_int_equal(stats.refused, 0);
    assert_true(stats.owned <= config.max);
    assert_true(atomic_load(&hops) > 0);
    pool_close(pool);
    memory_node_pretend(NULL);
}

static void test_the_kernels_list_of_nodes_is_read(void **state)
{
    (void)state;
    assert_int_equal(memory_node_count_of("0\n"), 1);
    assert_int_equal(memory_node_count_of("0-1\n"), 2);
    assert_int_equal(memory_node_count_of("0,2\n"), 3);
    assert_int_equal(memory_node_count_of("0-1,4-5\n"), 6);
    assert_int_equal(memory_node_count_of("0-127\n"), MEMORY_NODES_MAX);
    assert_int_equal(memory_node_count_of(""), 1);
    assert_int_equal(memory_node_count_of("none\n"), 1);
    assert_int_equal(memory_node_count_of("1-x\n"), 2);
}

static void test_this_machine_has_nodes(void **state)
{
    (void)state;
    int count = memory_node_count();
    assert_in_range(count, 1, MEMORY_NODES_MAX);
    assert_in_range(memory_node_here(count), 0, count - 1);
    assert_int_equal(memory_node_here(1), 0);
    assert_in_range(memory_node_at(MEMORY_NODES_MAX), 0, MEMORY_NODES_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_come_back_to_the_node_that_put_them),
        cmocka_unit_test(test_on_one_node_they_do_not),
        cmocka_unit_test(test_a_node_without_objects_gets_those_of_the_others),
        cmocka_unit_test(test_a_trim_finds_the_objects_of_every_node),
        cmocka_unit_test(test_at_the_bound_no_free_object_is_overlooked),
        cmocka_unit_test(test_the_kernels_list_of_nodes_is_read),
        cmocka_unit_test(test_this_machine_has_nodes),
    };
    return cmocka_run_group_tests_name("memory_node", tests, NULL, NULL);
}
