// SPDX-License-Identifier: Apache-2.0
// A child of fork whose parent's other thread was between an object and its count: the child's books say what it
// cannot have.
#include "pools/pool_strategy.h"
#include "pools/slab/pool.h"
#include "tests/pool_contract.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECT_BYTES = 3072, MAX = 40, HERS = 6, CHILD_SECONDS = 60 };

static struct pool *open_full(void)
{
    struct pool_config config = contract_config(pool_strategy_find("slab"), OBJECT_BYTES, MAX, MAX);
    config.overflow = POOL_OVERFLOW_REFUSE;
    return contract_open(pool_strategy_find("slab"), &config);
}

// Objects in use and those that can be got are all there are; exit code 0 then.
static _Noreturn void be_a_child(struct pool *pool)
{
    struct pool_stats stats;
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    alarm(CHILD_SECONDS);
    pool_stats(pool, &stats);
    int64_t got = 0;
    while (pool_get(pool))
        got++;
    if (stats.in_use + got != stats.owned)
        print_error("in use %ld, then got %ld, owned %ld\n", (long)stats.in_use, (long)got,
                    (long)stats.owned);
    _exit(stats.in_use + got == stats.owned ? 0 : 2);
}

static void fork_one(struct pool *pool)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        be_a_child(pool);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

// --- in the fast path -----------------------------------------------------------------------------------

// The two stores of a fast path are a few instructions apart. These handlers, which run while the pool's own handler
// holds all locks, put the row of another thread in the state between them, and back.
static struct pool_row *half_done;
static bool half_a_get;

static void to_the_middle(void)
{
    if (half_done)
        *(half_a_get ? &half_done->gets : &half_done->puts) += 1;
}

static void from_the_middle(void)
{
    if (half_done)
        *(half_a_get ? &half_done->gets : &half_done->puts) -= 1;
}

struct her {
    struct pool *pool;
    sem_t has, may_end;
    struct pool_row *row;
};

static void *have_some(void *argument)
{
    struct her *her = argument;
    void *objects[HERS];
    for (int i = 0; i < HERS; i++)
        objects[i] = pool_get(her->pool);
    her->row = &her->pool->rows[thread_slot()].hot;
    sem_post(&her->has);
    while (sem_wait(&her->may_end) != 0)
        ;
    for (int i = 0; i < HERS; i++)
        pool_put(her->pool, objects[i]);
    return NULL;
}

static void test_a_half_get_or_put_is_in_the_childs_books(void **state)
{
    (void)state;
    struct her her = {.pool = open_full()};
    pthread_t thread;
    void *mine = pool_get(her.pool);
    assert_int_equal(sem_init(&her.has, 0, 0) | sem_init(&her.may_end, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, have_some, &her), 0);
    while (sem_wait(&her.has) != 0)
        ;
    fork_one(her.pool);
    for (int get = 0; get < 2; get++) {
        half_a_get = get;
        half_done = her.row;
        fork_one(her.pool);
        half_done = NULL;
    }
    sem_post(&her.may_end);
    pthread_join(thread, NULL);
    pool_put(her.pool, mine);
    contract_close(her.pool);
}

// --- past the rows --------------------------------------------------------------------------------------

static struct {
    atomic_bool holds;
    sem_t reached, go;
} give;

void __real_slab_store_give(struct slab_store *store, void **objects, size_t count);
void __wrap_slab_store_give(struct slab_store *store, void **objects, size_t count);

void __wrap_slab_store_give(struct slab_store *store, void **objects, size_t count)
{
    if (atomic_exchange(&give.holds, false)) {
        sem_post(&give.reached);
        while (sem_wait(&give.go) != 0)
            ;
    }
    __real_slab_store_give(store, objects, count);
}

static struct pool *put_to;

static void *put_one(void *object)
{
    pool_put(put_to, object);
    return NULL;
}

// More are owned than the bound: the put counts, and then gives to the store.
static void test_a_put_that_was_counted_and_not_given_is_in_use_in_the_child(void **state)
{
    (void)state;
    void *objects[MAX];
    pthread_t thread;
    put_to = open_full();
    contract_get_many(put_to, objects, MAX);
    assert_int_equal(pool_resize(put_to, MAX / 2), 0);
    assert_int_equal(sem_init(&give.reached, 0, 0) | sem_init(&give.go, 0, 0), 0);
    atomic_store(&give.holds, true);
    assert_int_equal(pthread_create(&thread, NULL, put_one, objects[0]), 0);
    while (sem_wait(&give.reached) != 0)
        ;
    fork_one(put_to);
    sem_post(&give.go);
    pthread_join(thread, NULL);
    contract_put_many(put_to, objects + 1, MAX - 1);
    assert_int_equal(contract_counts(put_to).in_use, 0);
    pool_close(put_to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_half_get_or_put_is_in_the_childs_books),
        cmocka_unit_test(test_a_put_that_was_counted_and_not_given_is_in_use_in_the_child),
    };
    // Before the first pool's: handlers before a fork run in reverse order.
    if (pthread_atfork(to_the_middle, from_the_middle, NULL) != 0)
        return 1;
    return cmocka_run_group_tests_name("slab_fork", tests, NULL, NULL);
}
