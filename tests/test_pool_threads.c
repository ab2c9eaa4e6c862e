// SPDX-License-Identifier: Apache-2.0
// What every strategy promises to many threads. See tests/pool_contract.h. Threads count what they find
// wrong; only the test's own thread fails it.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "pools/shared/thread_slot.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, ROUNDS = 200, HELD = 12 };

struct work {
    struct pool *pool;
    size_t object_bytes;
    atomic_int next_number; // a number for each object held, so that no two are marked alike
    atomic_int wrong;
    atomic_bool stop;
    pthread_barrier_t barrier;
    // A bounded queue from those who get to those who put.
    pthread_mutex_t lock; // guards the rest
    pthread_cond_t changed;
    void *queue[64];
    uint32_t numbers[64];
    int queued, getting;
};

static void start(struct work *work, const struct pool_strategy *strategy, const struct pool_config *config)
{
    *work = (struct work){.pool = contract_open(strategy, config), .object_bytes = config->object_bytes};
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->changed, NULL);
}

static void finish(struct work *work)
{
    assert_int_equal(atomic_load(&work->wrong), 0);
    pthread_mutex_destroy(&work->lock);
    pthread_cond_destroy(&work->changed);
    contract_close(work->pool);
}

static void run_threads(struct work *work, int count, void *(*const *works)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, works[i], work), 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void run_alike(struct work *work, int count, void *(*body)(void *))
{
    void *(*works[THREADS])(void *);
    for (int i = 0; i < count; i++)
        works[i] = body;
    run_threads(work, count, works);
}

static bool shares(const struct work *work)
{
    return contract_can(work->pool, POOL_CAP_SHARES);
}

static uint32_t mark(struct work *work, void *object)
{
    uint32_t number = (uint32_t)atomic_fetch_add(&work->next_number, 1);
    if (!shares(work))
        contract_mark(object, work->object_bytes, number);
    return number;
}

static void check_and_put(struct work *work, void *object, uint32_t number)
{
    if (!shares(work) && !contract_is_marked(object, work->object_bytes, number))
        atomic_fetch_add(&work->wrong, 1);
    pool_put(work->pool, object);
}

static void *holds_some_and_puts_them(void *argument)
{
    struct work *work = argument;
    for (int round = 0; round < ROUNDS; round++) {
        void *objects[HELD];
        uint32_t numbers[HELD];
        int count = 1 + round % HELD;
        for (int i = 0; i < count; i++) {
            objects[i] = pool_get(work->pool);
            if (objects[i])
                numbers[i] = mark(work, objects[i]);
        }
        for (int i = 0; i < count; i++)
            if (objects[i])
                check_and_put(work, objects[i], numbers[i]);
    }
    return NULL;
}

static int64_t gets_of_all(int threads)
{
    int64_t gets = 0;
    for (int round = 0; round < ROUNDS; round++)
        gets += 1 + round % HELD;
    return gets * threads;
}

static void test_eight_threads_never_share_an_object(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 120, 16, 0);
    struct work work;
    start(&work, strategy, &config);
    run_alike(&work, THREADS, holds_some_and_puts_them);
    struct pool_stats stats = contract_stats(work.pool);
    assert_int_equal(stats.gets, gets_of_all(THREADS));
    assert_int_equal(stats.puts, stats.gets);
    assert_int_equal(stats.refused + stats.failed, 0);
    finish(&work);
}

static void test_eight_threads_grow_a_pool_in_the_background(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 120, 4, 0);
    config.growth_mode = POOL_GROW_BACKGROUND;
    pool_config_fit(strategy, &config);
    struct work work;
    start(&work, strategy, &config);
    run_alike(&work, THREADS, holds_some_and_puts_them);
    assert_int_equal(contract_stats(work.pool).gets, gets_of_all(THREADS));
    finish(&work);
}

static void check_bound(const struct pool_strategy *strategy, enum pool_overflow overflow,
                        enum pool_growth growth)
{
    struct pool_config config = contract_config(strategy, 120, 40, 40);
    config.initial = pool_strategy_caps(strategy) & POOL_CAP_GROWS ? 5 : 40;
    config.overflow = overflow;
    config.growth_mode = growth;
    pool_config_fit(strategy, &config);
    struct work work;
    start(&work, strategy, &config);
    run_alike(&work, THREADS, holds_some_and_puts_them);
    struct pool_stats stats = contract_stats(work.pool);
    assert_int_equal(stats.gets, gets_of_all(THREADS));
    if (overflow == POOL_OVERFLOW_REFUSE)
        assert_true(stats.peak_in_use <= 40);
    finish(&work);
}

static void test_the_bound_holds_with_eight_threads(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!(pool_strategy_caps(strategy) & POOL_CAP_BOUNDED))
        return;
    check_bound(strategy, POOL_OVERFLOW_HEAP, POOL_GROW_INLINE);
    check_bound(strategy, POOL_OVERFLOW_REFUSE, POOL_GROW_INLINE);
    check_bound(strategy, POOL_OVERFLOW_REFUSE, POOL_GROW_BACKGROUND);
}

static void *gets_for_others(void *argument)
{
    struct work *work = argument;
    for (int i = 0; i < 5 * ROUNDS; i++) {
        void *object = pool_get(work->pool);
        if (!object) {
            atomic_fetch_add(&work->wrong, 1);
            continue;
        }
        uint32_t number = mark(work, object);
        pthread_mutex_lock(&work->lock);
        while (work->queued == 64)
            pthread_cond_wait(&work->changed, &work->lock);
        work->queue[work->queued] = object;
        work->numbers[work->queued++] = number;
        pthread_cond_broadcast(&work->changed);
        pthread_mutex_unlock(&work->lock);
    }
    pthread_mutex_lock(&work->lock);
    work->getting--;
    pthread_cond_broadcast(&work->changed);
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

static void *puts_for_others(void *argument)
{
    struct work *work = argument;
    for (;;) {
        pthread_mutex_lock(&work->lock);
        while (work->queued == 0 && work->getting > 0)
            pthread_cond_wait(&work->changed, &work->lock);
        if (work->queued == 0) {
            pthread_mutex_unlock(&work->lock);
            return NULL;
        }
        void *object = work->queue[--work->queued];
        uint32_t number = work->numbers[work->queued];
        pthread_cond_broadcast(&work->changed);
        pthread_mutex_unlock(&work->lock);
        check_and_put(work, object, number);
    }
}

static void test_objects_may_be_put_by_another_thread(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 120, 16, 0);
    void *(*works[THREADS])(void *) = {gets_for_others, puts_for_others, gets_for_others, puts_for_others,
                                       gets_for_others, puts_for_others, gets_for_others, puts_for_others};
    struct work work;
    start(&work, strategy, &config);
    work.getting = THREADS / 2;
    run_threads(&work, THREADS, works);
    struct pool_stats stats = contract_stats(work.pool);
    assert_int_equal(stats.gets, THREADS / 2 * 5 * ROUNDS);
    assert_int_equal(stats.puts, stats.gets);
    finish(&work);
}

// Leaves half of what it got in the queue, for the test's own thread to put after this one is gone.
static void *comes_and_goes(void *argument)
{
    struct work *work = argument;
    for (int i = 0; i < 10; i++) {
        void *object = pool_get(work->pool);
        if (!object) {
            atomic_fetch_add(&work->wrong, 1);
            continue;
        }
        uint32_t number = mark(work, object);
        if (i % 2) {
            check_and_put(work, object, number);
            continue;
        }
        pthread_mutex_lock(&work->lock);
        work->queue[work->queued] = object;
        work->numbers[work->queued++] = number;
        pthread_mutex_unlock(&work->lock);
    }
    return NULL;
}

static void test_threads_come_and_go(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 3072, 0, 0);
    struct work work;
    start(&work, strategy, &config);
    for (int round = 0; round < 40; round++) {
        run_alike(&work, 4, comes_and_goes);
        while (work.queued) {
            work.queued--;
            check_and_put(&work, work.queue[work.queued], work.numbers[work.queued]);
        }
    }
    struct pool_stats stats = contract_stats(work.pool);
    assert_int_equal(stats.gets, 40 * 4 * 10);
    assert_true(stats.owned <=
                400); // 160 threads were here, 4 at a time: what each had at hand was used again
    finish(&work);
}

static void *looks_on(void *argument)
{
    struct work *work = argument;
    int64_t gets = 0, puts = 0;
    while (!atomic_load(&work->stop)) {
        struct pool_stats stats;
        pool_stats(work->pool, &stats);
        if (stats.gets < gets || stats.puts < puts || stats.in_use < 0 || stats.owned < 0 || stats.hits < 0)
            atomic_fetch_add(&work->wrong, 1);
        gets = stats.gets;
        puts = stats.puts;
        if (pool_sweep(work->pool) < 0)
            atomic_fetch_add(&work->wrong, 1);
        pool_trim(work->pool);
    }
    return NULL;
}

static void test_reading_sweeping_and_trimming_go_on_beside_the_work(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 3072, 16, 0);
    struct work work;
    pthread_t onlooker;
    start(&work, strategy, &config);
    assert_int_equal(pthread_create(&onlooker, NULL, looks_on, &work), 0);
    run_alike(&work, 4, holds_some_and_puts_them);
    atomic_store(&work.stop, true);
    assert_int_equal(pthread_join(onlooker, NULL), 0);
    assert_int_equal(contract_stats(work.pool).gets, gets_of_all(4));
    finish(&work);
}

static void *holds_at_the_barrier(void *argument)
{
    struct work *work = argument;
    void *objects[HELD];
    for (int i = 0; i < HELD; i++)
        objects[i] = pool_get(work->pool);
    pthread_barrier_wait(&work->barrier); // all hold theirs
    pthread_barrier_wait(&work->barrier); // and were counted
    for (int i = 0; i < HELD; i++)
        pool_put(work->pool, objects[i]);
    return NULL;
}

static void test_the_peak_is_no_less_than_what_was_held_at_once(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 64, 16, 0);
    struct work work;
    pthread_t threads[THREADS];
    start(&work, strategy, &config);
    assert_int_equal(pthread_barrier_init(&work.barrier, NULL, THREADS + 1), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, holds_at_the_barrier, &work), 0);
    pthread_barrier_wait(&work.barrier);
    struct pool_stats stats = contract_stats(work.pool);
    pthread_barrier_wait(&work.barrier);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&work.barrier);
    assert_int_equal(stats.in_use, THREADS * HELD);
    assert_true(stats.peak_in_use >= THREADS * HELD);
    assert_true(contract_stats(work.pool).peak_in_use >= THREADS * HELD);
    finish(&work);
}

// READS, or after READS_LEAST as many as there are in PASSES: a reader that waits for a strategy's lock sees no torn rows, and
// under Valgrind it waited minutes.
enum { PLACES = 16, PASSERS = 4, READS = 20000, READS_LEAST = 1000, PASSES = 2000000, PASSES_TOLD = 1000 };

struct passing {
    struct pool *pool;
    _Atomic(void *) places[PLACES];
    atomic_int passes; // of all, in steps of PASSES_TOLD
    atomic_bool stop;
};

// Objects got here are put there: no thread's own balance says anything.
static void *pass_on(void *argument)
{
    struct passing *passing = argument;
    unsigned random = (unsigned)(uintptr_t)&random >> 8 | 1;
    for (int passes = 1; !atomic_load(&passing->stop); passes++) {
        void *object = pool_get(passing->pool);
        random = random * 1664525u + 1013904223u;
        pool_put(passing->pool, atomic_exchange(&passing->places[random >> 16 & (PLACES - 1)], object));
        if (passes % PASSES_TOLD == 0)
            atomic_fetch_add(&passing->passes, PASSES_TOLD);
    }
    return NULL;
}

// Reads are torn: threads go on while the rows are added up. What one of them tells must never be more than
// was possible, nor enter the peak.
static void test_no_more_is_told_to_be_in_use_than_ever_was(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 64, 0, 0);
    struct passing passing = {.pool = contract_open(strategy, &config)};
    pthread_t threads[PASSERS];
    struct pool_stats stats;
    for (int i = 0; i < PASSERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_on, &passing), 0);
    int64_t most = 0;
    for (int i = 0; i < READS && (i < READS_LEAST || atomic_load(&passing.passes) < PASSES); i++) {
        pool_stats(passing.pool, &stats);
        most = stats.in_use > most ? stats.in_use : most;
    }
    atomic_store(&passing.stop, true);
    for (int i = 0; i < PASSERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PLACES; i++)
        pool_put(passing.pool, atomic_load(&passing.places[i]));
    pool_stats(passing.pool, &stats);
    assert_true(most <= PLACES + PASSERS);
    assert_true(stats.peak_in_use <= PLACES + PASSERS);
    contract_close(passing.pool);
}

// More threads than there are slots (pools/shared/thread_slot.h), all alive at once, and objects that one of
// them got and another puts.
enum { CROWD = THREAD_SLOT_ROWS + 36 };

struct crowd {
    struct pool *pool;
    pthread_barrier_t all_got;
    void *objects[CROWD];
    atomic_int next, wrong;
};

static void *join_crowd(void *argument)
{
    struct crowd *crowd = argument;
    int number = atomic_fetch_add(&crowd->next, 1);
    void *object = pool_get(crowd->pool);
    crowd->objects[number] = object;
    if (object)
        contract_mark(object, 64, (uint32_t)number);
    pthread_barrier_wait(&crowd->all_got);
    int other = (number + CROWD / 2) % CROWD;
    bool shares = contract_can(crowd->pool, POOL_CAP_SHARES);
    if (!crowd->objects[other] ||
        (!shares && !contract_is_marked(crowd->objects[other], 64, (uint32_t)other)))
        atomic_fetch_add(&crowd->wrong, 1);
    pool_put(crowd->pool, crowd->objects[other]);
    for (int i = 0; i < 5; i++)
        pool_put(crowd->pool, pool_get(crowd->pool));
    return NULL;
}

static void test_more_threads_than_slots_are_served(void **state)
{
    const struct pool_strategy *strategy = *state;
    static struct crowd crowd;
    static pthread_t threads[CROWD];
    struct pool_config config = contract_config(strategy, 64, 0, 0);
    if (contract_can(crowd.pool = contract_open(strategy, &config), POOL_CAP_SHARES)) {
        contract_close(crowd.pool);
        return;
    }
    atomic_store(&crowd.next, 0);
    atomic_store(&crowd.wrong, 0);
    assert_int_equal(pthread_barrier_init(&crowd.all_got, NULL, CROWD), 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], &attributes, join_crowd, &crowd), 0);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    pthread_barrier_destroy(&crowd.all_got);
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    struct pool_stats stats = contract_stats(crowd.pool);
    assert_int_equal(stats.gets, CROWD * 6);
    assert_int_equal(stats.puts, CROWD * 6);
    assert_int_equal(stats.in_use, 0);
    assert_true(stats.peak_in_use <= CROWD * 2);
    contract_close(crowd.pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_threads_never_share_an_object),
        cmocka_unit_test(test_eight_threads_grow_a_pool_in_the_background),
        cmocka_unit_test(test_the_bound_holds_with_eight_threads),
        cmocka_unit_test(test_objects_may_be_put_by_another_thread),
        cmocka_unit_test(test_threads_come_and_go),
        cmocka_unit_test(test_reading_sweeping_and_trimming_go_on_beside_the_work),
        cmocka_unit_test(test_the_peak_is_no_less_than_what_was_held_at_once),
        cmocka_unit_test(test_no_more_is_told_to_be_in_use_than_ever_was),
        cmocka_unit_test(test_more_threads_than_slots_are_served),
    };
    return contract_run("pool_threads", tests, sizeof tests / sizeof tests[0]);
}
