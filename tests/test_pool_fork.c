// SPDX-License-Identifier: Apache-2.0
// What every strategy that says so promises of a child of fork: it goes on, whatever the parent's other
// threads were in the middle of. See tests/pool_contract.h. A child that hangs is ended by its alarm, and
// then the test fails.
#include "tests/held_construct.h"
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECTS = 200, OBJECT_BYTES = 3072, CHILD_SECONDS = 60, BUSY = 2, FORKS = 15 };

static bool forks(const struct pool_strategy *strategy)
{
    return strategy->caps & POOL_CAP_FORKS;
}

static void get_and_put_all(struct pool *pool)
{
    void *objects[OBJECTS];
    int got = 0;
    for (int i = 0; i < OBJECTS; i++) {
        objects[got] = pool_get(pool);
        if (objects[got])
            memset(objects[got++], i, OBJECT_BYTES);
    }
    while (got)
        pool_put(pool, objects[--got]);
}

static void act(struct pool *pool, int action)
{
    switch (action) {
    case 0:
        get_and_put_all(pool);
        break;
    case 1:
        (void)pool_trim(pool);
        (void)pool_sweep(pool);
        break;
    case 2:
        if (pool_resize(pool, 20) == 0)
            get_and_put_all(pool);
        break;
    case 3:
        (void)pool_drain(pool);
        if (pool_get(pool))
            _exit(2);
        break;
    default:
        break;
    }
}

enum { ACTIONS = 5 };

// A child that crashes is to end, not to go on with the tests.
static void begin_a_child(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL);
    alarm(CHILD_SECONDS);
}

// Every action, and then the pool's end. Never comes back.
static _Noreturn void be_a_child(struct pool *pool, int action)
{
    const struct pool_strategy *strategy = pool_strategy_of(pool);
    begin_a_child();
    if (strategy->is_valid && !strategy->is_valid(pool))
        _exit(6);
    act(pool, action);
    struct pool_stats stats;
    pool_stats(pool, &stats);
    if (stats.gets != stats.hits + stats.misses + stats.overflow + stats.refused + stats.failed)
        _exit(3);
    pool_close(pool);
    _exit(0);
}

// Whether the child came to its end. Fails no test: other threads may be at work.
static bool fork_and_wait(struct pool *pool, int action)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        be_a_child(pool, action);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        print_error("action %d: the child was ended by signal %d\n", action, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct pool_config config_of(const struct pool_strategy *strategy, enum pool_growth mode)
{
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, 20, 0);
    config.growth_mode = mode;
    pool_config_fit(strategy, &config);
    return config;
}

static void test_a_child_of_a_quiet_process_does_everything(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!forks(strategy))
        return;
    for (int mode = POOL_GROW_INLINE; mode <= POOL_GROW_BACKGROUND; mode++) {
        struct pool_config config = config_of(strategy, mode);
        struct pool *pool = contract_open(strategy, &config);
        void *held = pool_get(pool);
        get_and_put_all(pool);
        for (int action = 0; action < ACTIONS; action++)
            assert_true(fork_and_wait(pool, action));
        pool_put(pool, held);
        get_and_put_all(pool);
        contract_close(pool);
    }
}

struct busy {
    struct pool *pool;
    atomic_bool stop;
};

static void *be_busy(void *argument)
{
    struct busy *busy = argument;
    while (!atomic_load(&busy->stop))
        get_and_put_all(busy->pool);
    return NULL;
}

// A sanitizer's runtime has locks that a busy process may hold at fork, and its child then waits for: that of
// its allocator is taken at fork only since compiler-rt of 2023, and gcc's libasan of Debian 12 is older.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { FORKS_BUSY = 0 };
#else
enum { FORKS_BUSY = 1 };
#endif

static void test_a_child_of_a_busy_process_does_everything(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!forks(strategy) || !FORKS_BUSY)
        return;
    for (int mode = POOL_GROW_INLINE; mode <= POOL_GROW_BACKGROUND; mode++) {
        struct pool_config config = config_of(strategy, mode);
        struct busy busy = {.pool = contract_open(strategy, &config)};
        pthread_t threads[BUSY];
        for (int i = 0; i < BUSY; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, be_busy, &busy), 0);
        int ended = 0;
        for (int i = 0; i < FORKS; i++)
            ended += fork_and_wait(busy.pool, i % ACTIONS);
        atomic_store(&busy.stop, true);
        for (int i = 0; i < BUSY; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(ended, FORKS);
        contract_close(busy.pool);
    }
}

// What the child cannot have is in its books: objects in use and those that it gets are all there are.
static int count_in_a_child(struct pool *pool)
{
    struct pool_stats stats;
    int status = -1;
    pid_t child = fork();
    if (child != 0)
        return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                                     : -1;
    begin_a_child();
    pool_stats(pool, &stats);
    int64_t got = 0;
    while (pool_get(pool))
        got++;
    _exit(stats.in_use + got == stats.owned ? 0 : 7);
}

static void test_objects_that_a_child_cannot_have_are_in_its_books(void **state)
{
    const struct pool_strategy *strategy = *state;
    unsigned wanted = POOL_CAP_FORKS | POOL_CAP_BOUNDED | POOL_CAP_PREHEATS;
    if ((strategy->caps & wanted) != wanted || !FORKS_BUSY)
        return;
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, OBJECTS, OBJECTS);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct busy busy = {.pool = contract_open(strategy, &config)};
    pthread_t threads[BUSY];
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, &busy), 0);
    int wrong = 0;
    for (int i = 0; i < 3 * FORKS; i++)
        wrong += count_in_a_child(busy.pool) != 0;
    atomic_store(&busy.stop, true);
    for (int i = 0; i < BUSY; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    contract_close(busy.pool);
}

static void *get_one(void *argument)
{
    struct pool *pool = argument;
    void *object = pool_get(pool);
    pool_put(pool, object);
    return object;
}

static void *preheat_some(void *pool)
{
    return pool_preheat(pool, OBJECTS) == 0 ? pool : NULL;
}

static void fork_while_another_makes(const struct pool_strategy *strategy, void *(*makes)(void *))
{
    for (int mode = POOL_GROW_INLINE; mode <= POOL_GROW_BACKGROUND; mode++) {
        struct held_construct held;
        assert_int_equal(held_construct_open(&held), 0);
        struct pool_config config = config_of(strategy, mode);
        config.construct = held_construct;
        config.object_context = &held;
        config.initial = 0;
        struct pool *pool = contract_open(strategy, &config);
        atomic_store(&held.holds, true);
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, makes, pool), 0);
        while (sem_wait(&held.reached) != 0)
            ;
        int ended = 0;
        for (int action = 0; action < ACTIONS; action++)
            ended += fork_and_wait(pool, action);
        sem_post(&held.go);
        void *made;
        pthread_join(other, &made);
        assert_non_null(made);
        assert_int_equal(ended, ACTIONS);
        get_and_put_all(pool);
        contract_close(pool);
    }
}

static void test_a_child_goes_on_where_another_thread_was_making_objects(void **state)
{
    const struct pool_strategy *strategy = *state;
    unsigned wanted = POOL_CAP_FORKS | POOL_CAP_CONSTRUCTS;
    if ((strategy->caps & wanted) != wanted || (strategy->caps & POOL_CAP_SHARES))
        return;
    fork_while_another_makes(strategy, get_one);
    if (strategy->caps & POOL_CAP_PREHEATS)
        fork_while_another_makes(strategy, preheat_some);
}

static void destruct_slowly(void *context, void *object)
{
    (void)held_construct(context, object);
}

static void *trim_it(void *argument)
{
    (void)pool_trim(argument);
    return NULL;
}

// Whether every child came to its end while another thread was in a destruct.
static bool fork_while_another_frees(const struct pool_strategy *strategy)
{
    struct held_construct held;
    struct pool_config config = config_of(strategy, POOL_GROW_INLINE);
    config.destruct = destruct_slowly;
    config.object_context = &held;
    struct pool *pool = contract_open(strategy, &config);
    pthread_t other;
    int ended = 0;
    if (held_construct_open(&held) != 0)
        return false;
    get_and_put_all(pool);
    atomic_store(&held.holds, true);
    if (pthread_create(&other, NULL, trim_it, pool) != 0)
        return false;
    while (sem_wait(&held.reached) != 0)
        ;
    for (int action = 0; action < ACTIONS; action++)
        ended += fork_and_wait(pool, action);
    sem_post(&held.go);
    pthread_join(other, NULL);
    pool_close(pool);
    return ended == ACTIONS;
}

// In a process of its own: where the fork itself waits for the destruct, its alarm ends it.
static void test_a_fork_waits_for_no_destruct(void **state)
{
    const struct pool_strategy *strategy = *state;
    unsigned wanted = POOL_CAP_FORKS | POOL_CAP_CONSTRUCTS | POOL_CAP_SHRINKS;
    if ((strategy->caps & wanted) != wanted)
        return;
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        begin_a_child();
        _exit(fork_while_another_frees(strategy) ? 0 : 5);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

// The child has one thread, and it has the slots of all others for threads of its own.
static void test_objects_that_other_threads_had_stay_in_use_in_the_child(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!forks(strategy))
        return;
    struct pool_config config = config_of(strategy, POOL_GROW_INLINE);
    struct pool *pool = contract_open(strategy, &config);
    void *mine = pool_get(pool);
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        struct pool_stats stats;
        begin_a_child();
        pool_stats(pool, &stats);
        int64_t before = stats.in_use;
        pool_put(pool, mine);
        pool_stats(pool, &stats);
        _exit(before == 1 && stats.in_use == 0 ? 0 : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    pool_put(pool, mine);
    contract_close(pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_of_a_quiet_process_does_everything),
        cmocka_unit_test(test_a_child_of_a_busy_process_does_everything),
        cmocka_unit_test(test_objects_that_a_child_cannot_have_are_in_its_books),
        cmocka_unit_test(test_a_child_goes_on_where_another_thread_was_making_objects),
        cmocka_unit_test(test_a_fork_waits_for_no_destruct),
        cmocka_unit_test(test_objects_that_other_threads_had_stay_in_use_in_the_child),
    };
    return contract_run("pool_fork", tests, sizeof tests / sizeof tests[0]);
}
