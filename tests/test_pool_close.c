// SPDX-License-Identifier: Apache-2.0
// The end of a pool beside the end of a thread that used it, and beside a fork. The steps of a close and of an
// exit are told apart by the calls between them, which this program stands in for (the linker's --wrap).
#include "tests/pool_contract.h"

#include "pools/pool_check.h"
#include "pools/pool_strategy.h"
#include "pools/slab/pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECT_BYTES = 3072, INITIAL = 20, CHILD_SECONDS = 20 };

static sem_t reached, go, left;
static bool
    holds_exit;    // a thread that exits waits in the middle of leaving its row until the pool lets go of it
static bool forks; // the next close forks where the handlers of fork do not know the pool any more
static int child_status;

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
}

void __real_slab_row_strike(struct pool *pool, struct slab_row *row);
void __wrap_slab_row_strike(struct pool *pool, struct slab_row *row);
void __wrap_slab_row_strike(struct pool *pool, struct slab_row *row)
{
    if (holds_exit) {
        sem_post(&reached);
        await(&go);
    }
    __real_slab_row_strike(pool, row);
}

void __real_thread_slot_watch_remove(struct thread_slot_watch *watch);
void __wrap_thread_slot_watch_remove(struct thread_slot_watch *watch);
void __wrap_thread_slot_watch_remove(struct thread_slot_watch *watch)
{
    if (holds_exit)
        sem_post(&go);
    __real_thread_slot_watch_remove(watch);
}

static void *take_a_slot(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)thread_slot();
}

// A thread of the child begins, has the row of a thread that only the parent has, and ends.
static _Noreturn void be_a_child(void)
{
    pthread_t thread;
    void *slot = NULL;
    alarm(CHILD_SECONDS);
    if (pthread_create(&thread, NULL, take_a_slot, NULL) != 0 || pthread_join(thread, &slot) != 0)
        _exit(2);
    _exit((int)(intptr_t)slot);
}

void __real_pool_check_close(struct pool_check *check);
void __wrap_pool_check_close(struct pool_check *check);
void __wrap_pool_check_close(struct pool_check *check)
{
    if (forks) {
        pid_t child = fork();
        if (child == 0)
            be_a_child();
        child_status = -1;
        if (child > 0)
            (void)waitpid(child, &child_status, 0);
        sem_post(&go);
        await(&left);
    }
    __real_pool_check_close(check);
}

static struct pool *open_slab(void)
{
    struct pool_config config = contract_config(pool_strategy_find("slab"), OBJECT_BYTES, INITIAL, 0);
    assert_int_equal(sem_init(&reached, 0, 0), 0);
    assert_int_equal(sem_init(&go, 0, 0), 0);
    assert_int_equal(sem_init(&left, 0, 0), 0);
    return contract_open(pool_strategy_find("slab"), &config);
}

static void *use_and_exit(void *pool)
{
    pool_put(pool, pool_get(pool));
    return NULL;
}

// Nobody can await the end of a detached thread. Checked builds look at the pool's rows at close.
static void test_a_thread_exits_beside_a_close(void **state)
{
    (void)state;
    struct pool *pool = open_slab();
    pthread_t thread;
    holds_exit = true;
    assert_int_equal(pthread_create(&thread, NULL, use_and_exit, pool), 0);
    await(&reached);
    pool_close(pool);
    holds_exit = false;
    assert_int_equal(pthread_join(thread, NULL), 0);
}

struct holder {
    struct pool *pool;
    int slot;
};

// Stands for the pool's own thread: it is in the store while the process is copied.
static void *be_in_the_store(void *argument)
{
    struct holder *holder = argument;
    pool_put(holder->pool, pool_get(holder->pool));
    holder->slot = thread_slot();
    pthread_mutex_lock(&holder->pool->store.lock);
    sem_post(&reached);
    await(&go);
    pthread_mutex_unlock(&holder->pool->store.lock);
    sem_post(&left); // the last that it does with the pool
    return NULL;
}

static void test_a_thread_of_a_child_forked_beside_a_close_can_exit(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); // it allows no new thread in a child of a process with threads
#endif
    struct holder holder = {.pool = open_slab()};
    pthread_t thread;
    (void)thread_slot();
    assert_int_equal(pthread_create(&thread, NULL, be_in_the_store, &holder), 0);
    await(&reached);
    forks = true;
    pool_close(holder.pool);
    forks = false;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(WIFEXITED(child_status));
    assert_int_equal(WEXITSTATUS(child_status), holder.slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_exits_beside_a_close),
        cmocka_unit_test(test_a_thread_of_a_child_forked_beside_a_close_can_exit),
    };
    return cmocka_run_group_tests_name("pool_close", tests, NULL, NULL);
}
