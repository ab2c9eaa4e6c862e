// SPDX-License-Identifier: Apache-2.0
// What a strategy promises to several threads, and of constructed objects.
#include "pools/contract/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 200, HELD = 12, QUEUED = 64, BUILT = 0x600D, MANY = 120 };

struct work {
    const struct check *check;
    struct pool *pool;
    size_t object_bytes;
    atomic_int next_number; // a number for each object held, so that no two are marked alike
    atomic_int working;     // threads that still get and put
    // A bounded queue from those who get to those who put.
    pthread_mutex_t lock; // guards the rest
    pthread_cond_t changed;
    void *queue[QUEUED];
    uint32_t numbers[QUEUED];
    int queued, getting;
};

static void start(struct work *work, const struct check *check, const struct pool_config *config)
{
    *work = (struct work){
        .check = check, .pool = check_open(check, config), .object_bytes = config->object_bytes};
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->changed, NULL);
}

static void finish(struct work *work)
{
    pthread_mutex_destroy(&work->lock);
    pthread_cond_destroy(&work->changed);
    check_close(work->pool);
}

static void run_threads(struct work *work, int count, void *(*const *bodies)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < count; i++)
        KEEP(pthread_create(&threads[i], NULL, bodies[i], work) == 0, "a thread cannot be started");
    for (int i = 0; i < count; i++)
        KEEP(pthread_join(threads[i], NULL) == 0, "a thread cannot be awaited");
}

static bool marks(const struct work *work)
{
    return !check_can(work->check, POOL_CAP_SHARES);
}

static uint32_t mark(struct work *work, void *object)
{
    uint32_t number = (uint32_t)atomic_fetch_add(&work->next_number, 1);
    if (marks(work))
        check_mark(object, work->object_bytes, number);
    return number;
}

static void put_marked(struct work *work, void *object, uint32_t number)
{
    KEEP(!marks(work) || check_is_marked(object, work->object_bytes, number),
         "an object of one thread was written to by another: two threads have it, or free objects are "
         "written to "
         "too late");
    pool_put(work->pool, object);
}

static void *hold_some_and_put_them(void *argument)
{
    struct work *work = argument;
    for (int round = 0; round < ROUNDS; round++) {
        void *objects[HELD];
        uint32_t numbers[HELD];
        int count = 1 + round % HELD;
        for (int i = 0; i < count; i++) {
            objects[i] = check_get(work->pool);
            numbers[i] = mark(work, objects[i]);
        }
        for (int i = 0; i < count; i++)
            put_marked(work, objects[i], numbers[i]);
    }
    atomic_fetch_sub(&work->working, 1);
    return NULL;
}

static void threads_never_share_an_object(const struct check *check)
{
    struct pool_config config = check_config(check, 120, 16, 0);
    struct work work;
    struct pool_stats stats;
    void *(*bodies[THREADS])(void *) = {NULL};
    for (int i = 0; i < THREADS; i++)
        bodies[i] = hold_some_and_put_them;
    start(&work, check, &config);
    run_threads(&work, THREADS, bodies);
    KEEP(!check_stats(work.pool, &stats) || (stats.puts == stats.gets && stats.gets > 0),
         "every object was put, and it counts %lld gets and %lld puts: counts of threads get lost",
         (long long)stats.gets, (long long)stats.puts);
    finish(&work);
}

static void *get_for_others(void *argument)
{
    struct work *work = argument;
    for (int i = 0; i < ROUNDS * HELD; i++) {
        void *object = check_get(work->pool);
        uint32_t number = mark(work, object);
        pthread_mutex_lock(&work->lock);
        while (work->queued == QUEUED)
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

static void *put_of_others(void *argument)
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
        put_marked(work, object, number);
    }
}

static void objects_may_be_put_by_another_thread(const struct check *check)
{
    struct pool_config config = check_config(check, 120, 16, 0);
    struct work work;
    void *(*const bodies[])(void *) = {get_for_others, get_for_others, put_of_others, put_of_others};
    start(&work, check, &config);
    work.getting = 2;
    run_threads(&work, sizeof bodies / sizeof bodies[0], bodies);
    finish(&work);
}

// While others work each count is right at some instant, but not all at the same one.
static void *look_and_sweep(void *argument)
{
    struct work *work = argument;
    int64_t gets = 0;
    while (atomic_load(&work->working) > 0) {
        struct pool_stats stats;
        pool_stats(work->pool, &stats);
        KEEP(stats.gets >= gets, "gets went from %lld back to %lld", (long long)gets, (long long)stats.gets);
        gets = stats.gets;
        KEEP(pool_sweep(work->pool) >= 0, "sweep gave a negative number of bytes");
        sched_yield();
    }
    return NULL;
}

static void statistics_and_sweeps_disturb_nobody(const struct check *check)
{
    struct pool_config config = check_config(check, 120, 16, 0);
    struct work work;
    void *(*const bodies[])(void *) = {hold_some_and_put_them, hold_some_and_put_them, look_and_sweep};
    start(&work, check, &config);
    work.working = 2;
    run_threads(&work, sizeof bodies / sizeof bodies[0], bodies);
    finish(&work);
}

// --- constructed objects -----------------------------------------------------------------------------------

struct thing {
    int built;
    struct thing *self; // a link that only construct makes
    char rest[200];
};

struct yard {
    atomic_int constructed, destructed, wrong;
};

static int construct(void *context, void *object)
{
    struct yard *yard = context;
    struct thing *thing = object;
    *thing = (struct thing){.built = BUILT, .self = thing};
    atomic_fetch_add(&yard->constructed, 1);
    return 0;
}

static bool is_thing(const struct thing *thing)
{
    return thing->built == BUILT && thing->self == thing;
}

static void destruct(void *context, void *object)
{
    struct yard *yard = context;
    atomic_fetch_add(&yard->wrong, !is_thing(object));
    atomic_fetch_add(&yard->destructed, 1);
    memset(object, 0, sizeof(struct thing));
}

static void constructed_objects_keep_their_state(const struct check *check)
{
    struct yard yard = {.wrong = 0};
    struct pool_config config = check_config(check, sizeof(struct thing), 10, 0);
    config.construct = construct;
    config.destruct = destruct;
    config.object_context = &yard;
    struct pool *pool = check_open(check, &config);
    void *objects[MANY];
    for (int round = 0; round < 3; round++) {
        check_get_many(pool, objects, MANY);
        for (int i = 0; i < MANY; i++)
            KEEP(is_thing(objects[i]),
                 "a get gave an object that is not as construct or the last put left it");
        check_put_many(pool, objects, MANY);
    }
    (void)pool_trim(pool);
    check_close(pool);
    KEEP(atomic_load(&yard.wrong) == 0, "destruct was given %d objects that were not constructed",
         atomic_load(&yard.wrong));
    KEEP(atomic_load(&yard.constructed) == atomic_load(&yard.destructed),
         "%d objects were constructed, and %d destructed by the end", atomic_load(&yard.constructed),
         atomic_load(&yard.destructed));
}

const struct promise thread_promises[] = {
    {"threads_never_share_an_object", 0, threads_never_share_an_object},
    {"objects_may_be_put_by_another_thread", 0, objects_may_be_put_by_another_thread},
    {"statistics_and_sweeps_disturb_nobody", 0, statistics_and_sweeps_disturb_nobody},
    {"constructed_objects_keep_their_state", 0, constructed_objects_keep_their_state},
    {0}};
