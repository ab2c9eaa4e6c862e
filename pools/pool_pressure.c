// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_pressure.h"

#include "base/clock.h"
#include "base/err.h"
#include "pools/pool_strategy.h"
#include "pools/pressure_source.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BELOW_PERCENT = 5, STALL_SHARE = 4 };

#define EVERY_MIN_NS NS_PER_MS
#define WINDOW_MIN_US INT64_C(500000)
#define WINDOW_MAX_US INT64_C(10000000)
// After a wake-up by the kernel: a group that is throttled has events faster than memory can come back.
#define PAUSE_NS (20 * NS_PER_MS)

// A pool as of the last look.
struct known {
    char name[POOL_REGISTRY_NAME_MAX + 1];
    int64_t gets;   // all since its open
    int64_t recent; // see the header: a rank, no count
    int64_t idle_bytes;
    bool shrinks;
};

struct pool_pressure {
    struct pool_pressure_config config;

    pthread_mutex_t looking; // held during a look; guards the next five
    struct pressure_group group;
    struct pressure_stall stall;
    struct known *known; // in the registry's order
    int64_t known_count;
    int64_t owned_bytes; // of all pools

    pthread_mutex_t lock; // guards `stats`; taken inside `looking`
    struct pool_pressure_stats stats;

    pthread_t thread;
    bool has_thread;
    int wake;          // eventfd that ends the thread's wait
    _Atomic bool stop; // relaxed: the eventfd orders it
};

static int check(const struct pool_pressure_config *config, struct err *err)
{
    if (!config->registry)
        return err_set(err, -EINVAL, "memory pressure: registry is missing");
    if (config->bound_bytes < 0)
        return err_set(err, -EINVAL, "memory pressure: bound_bytes is %lld; it must not be negative",
                       (long long)config->bound_bytes);
    if (config->group_percent < 1 || config->group_percent > 100)
        return err_set(err, -EINVAL, "memory pressure: group_percent is %d; it must be 1 to 100",
                       config->group_percent);
    if (config->stall_window_us < WINDOW_MIN_US || config->stall_window_us > WINDOW_MAX_US)
        return err_set(err, -EINVAL, "memory pressure: stall_window_us is %lld; it must be %lld to %lld",
                       (long long)config->stall_window_us, (long long)WINDOW_MIN_US,
                       (long long)WINDOW_MAX_US);
    if (config->stall_us < 1 || config->stall_us > config->stall_window_us)
        return err_set(err, -EINVAL, "memory pressure: stall_us is %lld; it must be 1 to stall_window_us",
                       (long long)config->stall_us);
    if (config->own_thread && config->every_ns < EVERY_MIN_NS)
        return err_set(err, -EINVAL, "memory pressure: every_ns is %lld; it must be at least %lld",
                       (long long)config->every_ns, (long long)EVERY_MIN_NS);
    return 0;
}

// --- what pools do --------------------------------------------------------------------------------------

// The registry lists pools in the order in which they were made, so a pool is found behind the last one found.
static const struct known *find_before(const struct known *before, int64_t count, int64_t *from,
                                       const char *name)
{
    for (int64_t i = *from; i < count; i++) {
        if (strcmp(before[i].name, name) == 0) {
            *from = i + 1;
            return &before[i];
        }
    }
    return NULL;
}

static void note(struct known *now, const struct pool_listing *pool, const struct known *before)
{
    const struct pool_stats *stats = &pool->stats;
    *now = (struct known){.gets = stats->gets};
    memcpy(now->name, pool->name, sizeof now->name);
    now->recent = before && before->gets <= stats->gets ? before->recent / 2 + stats->gets - before->gets
                                                        : stats->gets; // new, or another one of that name
    int64_t idle = stats->bytes_owned - stats->in_use * (int64_t)pool->object_bytes;
    now->idle_bytes = idle > 0 ? idle : 0;
    now->shrinks = pool_strategy_caps(pool->strategy) & POOL_CAP_SHRINKS;
    if (stats->unknown) { // after all others
        now->recent = INT64_MAX;
        now->idle_bytes = POOL_PRESSURE_IDLE_MIN;
    }
}

// Takes stock of all pools. False: there is no memory for that, and the last one stays.
static bool take_stock(struct pool_pressure *pressure)
{
    struct pool_registry *registry = pressure->config.registry;
    int64_t most = pool_registry_list(registry, NULL, 0), from = 0;
    struct pool_listing *pools = pool_memory_alloc((size_t)(most + 1) * sizeof *pools);
    struct known *now = pool_memory_alloc((size_t)(most + 1) * sizeof *now);
    if (!pools || !now) {
        pool_memory_free(pools);
        pool_memory_free(now);
        return false;
    }
    int64_t count = pool_registry_list(registry, pools, most);
    if (count > most) // those that were added meanwhile are of the next look
        count = most;
    pressure->owned_bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        note(&now[i], &pools[i], find_before(pressure->known, pressure->known_count, &from, pools[i].name));
        pressure->owned_bytes += pools[i].stats.bytes_owned;
    }
    pool_memory_free(pools);
    pool_memory_free(pressure->known);
    pressure->known = now;
    pressure->known_count = count;
    return true;
}

static int by_use(const void *a, const void *b)
{
    const struct known *left = *(const struct known *const *)a, *right = *(const struct known *const *)b;
    if (left->recent != right->recent)
        return left->recent < right->recent ? -1 : 1;
    return (left->idle_bytes < right->idle_bytes) - (left->idle_bytes > right->idle_bytes);
}

static int64_t idle_bytes(const struct pool_pressure *pressure)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < pressure->known_count; i++)
        bytes += pressure->known[i].shrinks ? pressure->known[i].idle_bytes : 0;
    return bytes;
}

// --- giving back ----------------------------------------------------------------------------------------

static void count_trim(struct pool_pressure *pressure, const struct pool_pressure_event *event)
{
    int64_t took_ns = event->at_ns - event->began_ns;
    pthread_mutex_lock(&pressure->lock);
    pressure->stats.trims++;
    pressure->stats.bytes_back += event->bytes;
    if (took_ns > pressure->stats.longest_ns)
        pressure->stats.longest_ns = took_ns;
    pthread_mutex_unlock(&pressure->lock);
}

// Of the pools in that order, until enough came back. A pool that was removed meanwhile gives nothing.
static int64_t trim_in_order(struct pool_pressure *pressure, const struct known *const *order, int64_t count,
                             unsigned sources, int64_t wanted)
{
    const struct pool_pressure_config *config = &pressure->config;
    struct pool_pressure_event event = {.sources = sources, .began_ns = clock_now_ns(), .wanted = wanted};
    for (int64_t i = 0; i < count && event.bytes_back < wanted; i++) {
        if (pool_registry_trim(config->registry, order[i]->name, &event.bytes, NULL) < 0 || event.bytes <= 0)
            continue;
        event.bytes_back += event.bytes;
        event.at_ns = clock_now_ns();
        count_trim(pressure, &event);
        if (config->listener)
            config->listener(config->listener_context, order[i]->name, &event);
    }
    return event.bytes_back;
}

static int64_t give_back(struct pool_pressure *pressure, unsigned sources, int64_t wanted)
{
    int64_t count = 0;
    const struct known **order = pool_memory_alloc((size_t)(pressure->known_count + 1) * sizeof *order);
    if (!order)
        return 0; // the next look tries again
    for (int64_t i = 0; i < pressure->known_count; i++) {
        if (pressure->known[i].shrinks && pressure->known[i].idle_bytes >= POOL_PRESSURE_IDLE_MIN)
            order[count++] = &pressure->known[i];
    }
    qsort(order, (size_t)count, sizeof *order, by_use);
    int64_t bytes = trim_in_order(pressure, order, count, sources, wanted);
    pool_memory_free(order);
    return bytes;
}

// The most that one of the sources wants. `told`: the kernel reported a stall.
static int64_t wanted_bytes(struct pool_pressure *pressure, bool told, unsigned *sources)
{
    int64_t bound = pressure->config.bound_bytes, wanted = pressure_group_excess(&pressure->group);
    *sources = wanted > 0 ? (unsigned)POOL_PRESSURE_GROUP : 0U;
    if (pressure_stall_is_there(&pressure->stall, told)) {
        int64_t part = idle_bytes(pressure) / STALL_SHARE + 1;
        *sources |= POOL_PRESSURE_STALL;
        wanted = part > wanted ? part : wanted;
    }
    if (bound && pressure->owned_bytes > bound) {
        int64_t excess = pressure->owned_bytes - (bound - bound / 100 * BELOW_PERCENT);
        *sources |= POOL_PRESSURE_BOUND;
        wanted = excess > wanted ? excess : wanted;
    }
    return wanted;
}

static int64_t look(struct pool_pressure *pressure, bool told)
{
    unsigned sources;
    pthread_mutex_lock(&pressure->looking);
    (void)take_stock(pressure);
    int64_t wanted = wanted_bytes(pressure, told, &sources);
    pthread_mutex_lock(&pressure->lock);
    pressure->stats.looks++;
    pressure->stats.wakes_by_group = pressure->group.fd >= 0;
    pressure->stats.by_bound += (sources & POOL_PRESSURE_BOUND) != 0;
    pressure->stats.by_group += (sources & POOL_PRESSURE_GROUP) != 0;
    pressure->stats.by_stall += (sources & POOL_PRESSURE_STALL) != 0;
    pthread_mutex_unlock(&pressure->lock);
    int64_t bytes = sources ? give_back(pressure, sources, wanted) : 0;
    pthread_mutex_unlock(&pressure->looking);
    return bytes;
}

int64_t pool_pressure_look(struct pool_pressure *pressure)
{
    return look(pressure, false);
}

int64_t pool_pressure_relieve(struct pool_pressure *pressure, int64_t bytes)
{
    if (bytes <= 0)
        return 0;
    pthread_mutex_lock(&pressure->looking);
    (void)take_stock(pressure);
    int64_t back = give_back(pressure, POOL_PRESSURE_CALLER, bytes);
    pthread_mutex_unlock(&pressure->looking);
    return back;
}

void pool_pressure_stats(struct pool_pressure *pressure, struct pool_pressure_stats *stats)
{
    pthread_mutex_lock(&pressure->lock);
    *stats = pressure->stats;
    pthread_mutex_unlock(&pressure->lock);
}

// --- the thread -----------------------------------------------------------------------------------------

static int milliseconds(int64_t ns)
{
    int64_t ms = ns / NS_PER_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

// Descriptors of this look: a source gives up its own when the kernel does.
static void list_descriptors(struct pool_pressure *pressure, struct pollfd fds[static 3])
{
    pthread_mutex_lock(&pressure->looking);
    fds[0] = (struct pollfd){.fd = pressure->wake, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = pressure->group.fd, .events = pressure->group.unified ? POLLPRI : POLLIN};
    fds[2] = (struct pollfd){.fd = pressure->stall.fd, .events = POLLPRI};
    pthread_mutex_unlock(&pressure->looking);
}

// The kernel has no such trigger any more: its group is gone. Otherwise it would wake the thread for ever.
static void give_up_trigger(struct pool_pressure *pressure)
{
    pthread_mutex_lock(&pressure->looking);
    pressure_stall_close(&pressure->stall);
    pthread_mutex_unlock(&pressure->looking);
    pthread_mutex_lock(&pressure->lock);
    pressure->stats.wakes_by_stall = false;
    pthread_mutex_unlock(&pressure->lock);
}

static void *watch(void *context)
{
    struct pool_pressure *pressure = context;
    struct pollfd fds[3];
    while (!atomic_load_explicit(&pressure->stop, memory_order_relaxed)) {
        list_descriptors(pressure, fds);
        int ready = poll(fds, 3, milliseconds(pressure->config.every_ns));
        if (ready < 0 || fds[0].revents)
            continue;
        bool is_gone = ready > 0 && (fds[2].revents & (POLLERR | POLLNVAL));
        if (is_gone)
            give_up_trigger(pressure);
        (void)look(pressure, ready > 0 && !is_gone && (fds[2].revents & POLLPRI));
        if (ready > 0)
            (void)poll(fds, 1, milliseconds(PAUSE_NS));
    }
    return NULL;
}

// The program's own threads handle signals.
static int start(struct pool_pressure *pressure)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = -pthread_create(&pressure->thread, NULL, watch, pressure);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pressure->has_thread = code == 0;
    if (code == 0)
        pthread_setname_np(pressure->thread, "pool-pressure");
    return code;
}

static void stop(struct pool_pressure *pressure)
{
    const uint64_t one = 1;
    if (!pressure->has_thread)
        return;
    atomic_store_explicit(&pressure->stop, true, memory_order_relaxed);
    (void)!write(pressure->wake, &one, sizeof one);
    pthread_join(pressure->thread, NULL);
}

// --- open, close ----------------------------------------------------------------------------------------

static int open_sources(struct pool_pressure *pressure, struct err *err)
{
    const struct pool_pressure_config *config = &pressure->config;
    int code = pressure_group_open(&pressure->group, config->group, config->group_percent, err);
    if (code < 0)
        return code;
    pressure_stall_open(&pressure->stall, config->stall_file, &pressure->group, config->stall_us,
                        config->stall_window_us);
    unsigned sources = config->bound_bytes ? (unsigned)POOL_PRESSURE_BOUND : 0U;
    if (pressure->group.folder[0])
        sources |= POOL_PRESSURE_GROUP;
    if (pressure->stall.file[0])
        sources |= POOL_PRESSURE_STALL;
    pressure->stats.sources = sources;
    pressure->stats.wakes_by_group = pressure->group.fd >= 0;
    pressure->stats.wakes_by_stall = pressure->stall.fd >= 0;
    if (sources)
        return 0;
    return err_set(err, -ENOTSUP,
                   "memory pressure: nothing to watch: no bound_bytes, no control group with the memory "
                   "controller, and no memory.pressure that can be read");
}

int pool_pressure_open(struct pool_pressure **opened, const struct pool_pressure_config *config,
                       struct err *err)
{
    int code = check(config, err);
    if (code < 0)
        return code;
    struct pool_pressure *pressure = pool_memory_alloc(sizeof *pressure);
    if (!pressure)
        return err_set(err, -ENOMEM, "memory pressure: out of memory");
    *pressure = (struct pool_pressure){.config = *config, .wake = -1};
    pressure->group.fd = pressure->stall.fd = -1;
    pthread_mutex_init(&pressure->looking, NULL);
    pthread_mutex_init(&pressure->lock, NULL);
    code = open_sources(pressure, err);
    if (code == 0 && config->own_thread && (pressure->wake = eventfd(0, EFD_CLOEXEC)) < 0)
        code = err_set(err, -errno, "memory pressure: eventfd for its thread: %s", strerror(errno));
    if (code == 0 && config->own_thread && (code = start(pressure)) < 0)
        (void)err_set(err, code, "memory pressure: pthread_create of its thread: %s", strerror(-code));
    if (code < 0) {
        pool_pressure_close(pressure);
        return code;
    }
    *opened = pressure;
    return 0;
}

void pool_pressure_close(struct pool_pressure *pressure)
{
    if (!pressure)
        return;
    stop(pressure);
    pthread_mutex_lock(&pressure->looking); // a look of another thread ends before
    pthread_mutex_unlock(&pressure->looking);
    if (pressure->wake >= 0)
        close(pressure->wake);
    pressure_group_close(&pressure->group);
    pressure_stall_close(&pressure->stall);
    pthread_mutex_destroy(&pressure->looking);
    pthread_mutex_destroy(&pressure->lock);
    pool_memory_free(pressure->known);
    pool_memory_free(pressure);
}
