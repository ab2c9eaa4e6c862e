// SPDX-License-Identifier: Apache-2.0
// `slab` and membarrier(2), which this program stands in for (the linker's --wrap=syscall): what others do
// while a row is being taken back, and what happens when the system refuses the barrier, from the start or
// later.
#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

enum { OBJECT_BYTES = 3072, WORKERS = 3, SLOTS = 64 };

static atomic_int barriers_until_refused; // barriers that are still granted; negative: all are
static void (*at_barrier)(void);          // called in the next one, once

long __real_syscall(long number, long a, long b, long c);
long __wrap_syscall(long number, long a, long b, long c);
long __wrap_syscall(long number, long a, long b, long c)
{
    if (number != SYS_membarrier || a != MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        return __real_syscall(number, a, b, c);
    void (*then)(void) = at_barrier;
    at_barrier = NULL;
    if (then)
        then();
    int left = atomic_load(&barriers_until_refused);
    if (left == 0) {
        errno = EPERM;
        return -1;
    }
    if (left > 0)
        atomic_fetch_sub(&barriers_until_refused, 1);
    return __real_syscall(number, a, b, c);
}

static struct pool *open_slab(int64_t initial, int64_t max, enum pool_overflow overflow)
{
    const struct pool_strategy *slab = pool_strategy_find("slab");
    struct pool_config config = contract_config(slab, OBJECT_BYTES, initial, max);
    config.overflow = overflow;
    return contract_open(slab, &config);
}

// --- what others do meanwhile ---------------------------------------------------------------------------

enum { FEW = 8, ROUNDS = 5 };
static struct pool *raced;
static sem_t go, done, get_one, got_one;
static void *handed;

// In the middle of taking rows back. The others may have to wait for us; so we do not wait for ever.
static void let_the_others_work(void)
{
    struct timespec until;
    sem_post(&go);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 50 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)sem_clockwait(&done, CLOCK_MONOTONIC, &until);
}

static void *take_rows_back(void *unused)
{
    (void)unused;
    at_barrier = let_the_others_work;
    pool_put(raced, pool_get(raced)); // what is missing lies in the main thread's row
    return NULL;
}

static void *get_one_when_told(void *unused)
{
    (void)unused;
    sem_wait(&get_one);
    handed = pool_get(raced);
    sem_post(&got_one);
    return NULL;
}

// The last object lies in an open row, and while somebody is about to take that back, its owner gets the
// object, a third thread finds nothing and gets one of the heap, and the owner puts that into the row it
// finds open.
static void race_once(void)
{
    void *objects[FEW];
    pthread_t taker, third;
    contract_get_many(raced, objects, FEW);
    pool_put(raced, objects[FEW - 1]);
    assert_int_equal(pthread_create(&third, NULL, get_one_when_told, NULL), 0);
    assert_int_equal(pthread_create(&taker, NULL, take_rows_back, NULL), 0);
    sem_wait(&go);
    objects[FEW - 1] = pool_get(raced);
    sem_post(&get_one);
    sem_wait(&got_one);
    pool_put(raced, handed);
    sem_post(&done);
    assert_int_equal(pthread_join(taker, NULL), 0);
    assert_int_equal(pthread_join(third, NULL), 0);
    assert_true(pool_strategy_find("slab")->is_valid(raced));
    contract_put_many(raced, objects, FEW);
}

static void test_no_overflow_object_gets_into_a_magazine_while_rows_are_taken_back(void **state)
{
    (void)state;
    raced = open_slab(FEW, FEW, POOL_OVERFLOW_HEAP);
    sem_t *const all[] = {&go, &done, &get_one, &got_one};
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            assert_int_equal(sem_init(all[i], 0, 0), 0);
        race_once();
        assert_null(at_barrier); // it came to that
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            sem_destroy(all[i]);
    }
    assert_int_equal(contract_counts(raced).in_use, 0);
    assert_int_equal(contract_counts(raced).owned, FEW);
    pool_close(raced);
}

// --- refused --------------------------------------------------------------------------------------------

struct exchange {
    struct pool *pool;
    _Atomic(void *) slots[SLOTS];
    atomic_int wrong;
    atomic_int working;
    pthread_barrier_t together;
};

// Objects pass from thread to thread; one that is out twice is written by two.
static void *pass_on(void *argument)
{
    struct exchange *exchange = argument;
    uint64_t random = (uint64_t)(uintptr_t)&random;
    for (int i = 0; i < 20000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t *object = pool_get(exchange->pool);
        if (object) {
            object[0] = object[OBJECT_BYTES / 8 - 1] = random;
            uint64_t *other = atomic_exchange(&exchange->slots[random >> 58], (void *)object);
            if (other && other[0] != other[OBJECT_BYTES / 8 - 1])
                atomic_fetch_add(&exchange->wrong, 1);
            if (other)
                pool_put(exchange->pool, other);
        }
    }
    atomic_fetch_sub(&exchange->working, 1);
    pthread_barrier_wait(
        &exchange->together); // nobody's exit gives its row's objects back before all are done
    pthread_barrier_wait(&exchange->together);
    return NULL;
}

static void check_exclusive(int64_t max, enum pool_overflow overflow)
{
    static struct exchange exchange;
    memset(&exchange, 0, sizeof exchange);
    exchange.pool = open_slab(10, max, overflow);
    atomic_store(&exchange.working, WORKERS);
    assert_int_equal(pthread_barrier_init(&exchange.together, NULL, WORKERS + 1), 0);
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, pass_on, &exchange), 0);
    while (atomic_load(&exchange.working))
        (void)pool_trim(exchange.pool);
    pthread_barrier_wait(&exchange.together);
    for (int i = 0; i < SLOTS; i++)
        pool_put(exchange.pool, exchange.slots[i]);
    assert_int_equal(atomic_load(&exchange.wrong), 0);
    assert_int_equal(contract_counts(exchange.pool).in_use, 0);
    pthread_barrier_wait(&exchange.together);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    // Nothing was lost: all that may be owned can be had at once.
    struct pool_stats before = contract_counts(exchange.pool);
    assert_true(!before.locked_rows || atomic_load(&barriers_until_refused) == 0);
    for (int64_t i = 0; i < max; i++)
        exchange.slots[i] = pool_get(exchange.pool);
    struct pool_stats after = contract_counts(exchange.pool);
    assert_int_equal(after.overflow + after.refused, before.overflow + before.refused);
    for (int64_t i = 0; i < max; i++)
        pool_put(exchange.pool, exchange.slots[i]);
    pthread_barrier_destroy(&exchange.together);
    pool_close(exchange.pool);
}

static void test_objects_are_exclusive_whenever_the_barrier_begins_to_be_refused(void **state)
{
    (void)state;
    static const int granted[] = {0, 1, 2, 3, 10, 50, 200};
    for (size_t i = 0; i < sizeof granted / sizeof granted[0]; i++) {
        atomic_store(&barriers_until_refused, granted[i]);
        check_exclusive(0, POOL_OVERFLOW_HEAP);
        atomic_store(&barriers_until_refused, granted[i]);
        check_exclusive(SLOTS - 4, POOL_OVERFLOW_HEAP);
        atomic_store(&barriers_until_refused, granted[i]);
        check_exclusive(SLOTS - 4, POOL_OVERFLOW_REFUSE);
    }
    atomic_store(&barriers_until_refused, -1);
}

struct sitter {
    struct pool *pool;
    sem_t sits, leave;
};

static void *sit_on_free_objects(void *argument)
{
    struct sitter *sitter = argument;
    pool_put(sitter->pool, pool_get(sitter->pool));
    sem_post(&sitter->sits);
    sem_wait(&sitter->leave);
    return NULL;
}

static pthread_t begin_to_sit(struct sitter *sitter, void *(*body)(void *))
{
    pthread_t thread;
    assert_int_equal(sem_init(&sitter->sits, 0, 0), 0);
    assert_int_equal(sem_init(&sitter->leave, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, body, sitter), 0);
    sem_wait(&sitter->sits);
    return thread;
}

static void test_without_the_barrier_too_nobody_is_refused_while_an_object_is_free(void **state)
{
    (void)state;
    enum { MAX = 20 };
    atomic_store(&barriers_until_refused, 0);
    struct sitter sitter = {.pool = open_slab(MAX, MAX, POOL_OVERFLOW_REFUSE)};
    pthread_t thread = begin_to_sit(&sitter, sit_on_free_objects);
    void *objects[MAX];
    contract_get_many(sitter.pool, objects, MAX);
    assert_null(pool_get(sitter.pool));
    assert_true(contract_counts(sitter.pool).locked_rows);
    contract_put_many(sitter.pool, objects, MAX);
    sem_post(&sitter.leave);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(contract_counts(sitter.pool).in_use, 0);
    pool_close(sitter.pool);
    atomic_store(&barriers_until_refused, -1);
}

// Who lowers the bound cannot reach the thread's row. What it holds goes back when the thread exits.
static void test_what_a_lowered_bound_could_not_reach_goes_back_when_its_thread_exits(void **state)
{
    (void)state;
    enum { MAX = 20, LOW = 1 };
    atomic_store(&barriers_until_refused, 1); // that of the open
    struct sitter sitter = {.pool = open_slab(MAX, MAX, POOL_OVERFLOW_REFUSE)};
    pthread_t thread = begin_to_sit(&sitter, sit_on_free_objects);
    assert_int_equal(pool_resize(sitter.pool, LOW), 0);
    assert_true(contract_counts(sitter.pool).owned > LOW);
    sem_post(&sitter.leave);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(contract_counts(sitter.pool).owned <= LOW);
    pool_close(sitter.pool);
    atomic_store(&barriers_until_refused, -1);
}

// From the start with all objects in its row, and its row out of reach of others.
static void *be_refused_nothing_of_my_own(void *argument)
{
    struct sitter *sitter = argument;
    pool_put(sitter->pool, pool_get(sitter->pool));
    sem_post(&sitter->sits);
    sem_wait(&sitter->leave);
    void *object = pool_get(sitter->pool);
    pool_put(sitter->pool, object);
    sem_post(&sitter->sits);
    sem_wait(&sitter->leave);
    return object;
}

// Others cannot have what lies in an open row when the barrier is refused. Its thread can, with its next get,
// and then the others can as well: that they found nothing before must not turn it away.
static void test_what_was_out_of_reach_is_there_again_when_its_thread_comes(void **state)
{
    (void)state;
    enum { MAX = 8 };
    atomic_store(&barriers_until_refused, -1);
    struct sitter sitter = {.pool = open_slab(MAX, MAX, POOL_OVERFLOW_REFUSE)};
    void *objects[MAX], *its_object;
    pthread_t thread = begin_to_sit(&sitter, be_refused_nothing_of_my_own);
    atomic_store(&barriers_until_refused, 0);
    int got = 0;
    while (got < MAX && (objects[got] = pool_get(sitter.pool)))
        got++;
    assert_true(got < MAX);
    assert_null(pool_get(sitter.pool));
    sem_post(&sitter.leave);
    sem_wait(&sitter.sits);
    contract_get_many(sitter.pool, objects + got, MAX - got);
    assert_null(pool_get(sitter.pool));
    contract_put_many(sitter.pool, objects, MAX);
    sem_post(&sitter.leave);
    assert_int_equal(pthread_join(thread, &its_object), 0);
    assert_non_null(its_object);
    assert_int_equal(contract_counts(sitter.pool).in_use, 0);
    pool_close(sitter.pool);
    atomic_store(&barriers_until_refused, -1);
}

// --- no thread ------------------------------------------------------------------------------------------

static bool threads_are_refused;
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *argument)
{
    return threads_are_refused ? EAGAIN : __real_pthread_create(thread, attr, run, argument);
}

static void test_a_pool_that_gets_no_thread_grows_inline(void **state)
{
    (void)state;
    const struct pool_strategy *slab = pool_strategy_find("slab");
    struct pool_config config = contract_config(slab, OBJECT_BYTES, 10, 0);
    config.growth_mode = POOL_GROW_DEFAULT;
    threads_are_refused = true;
    struct pool *pool = contract_open(slab, &config);
    threads_are_refused = false;
    static void *objects[1000];
    contract_get_many(pool, objects, 1000);
    assert_true(contract_counts(pool).expansions > 5);
    contract_put_many(pool, objects, 1000);
    pool_close(pool);
}

int main(void)
{
    atomic_store(&barriers_until_refused, -1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_overflow_object_gets_into_a_magazine_while_rows_are_taken_back),
        cmocka_unit_test(test_objects_are_exclusive_whenever_the_barrier_begins_to_be_refused),
        cmocka_unit_test(test_without_the_barrier_too_nobody_is_refused_while_an_object_is_free),
        cmocka_unit_test(test_what_a_lowered_bound_could_not_reach_goes_back_when_its_thread_exits),
        cmocka_unit_test(test_what_was_out_of_reach_is_there_again_when_its_thread_comes),
        cmocka_unit_test(test_a_pool_that_gets_no_thread_grows_inline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
