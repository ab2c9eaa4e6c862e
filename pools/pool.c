// SPDX-License-Identifier: Apache-2.0
// Dispatch: checks configurations and capability flags once, at open, so that get and put are one indirect
// call. Other features of a config are in separate functions, which that call reaches instead
// (pools/pool_wrap.h). They cost nothing when the config does not ask for them.
#include "pools/pool.h"

#include "base/err.h"
#include "pools/handicap.h"
#include "pools/pool_check.h"
#include "pools/pool_fork.h"
#include "pools/shared/pool_lock.h"
#include "pools/pool_strategy.h"
#include "pools/pool_wrap.h"

#include <errno.h>
#include <math.h>
#include <string.h>

// Every strategy, in the order reports show them: a new one is a new line here.
#define STRATEGIES(X)                                                                                        \
    X(null)                                                                                                  \
    X(malloc)                                                                                                \
    X(fixed)                                                                                                 \
    X(expand)                                                                                                \
    X(sync)                                                                                                  \
    X(blocks)                                                                                                \
    X(slab)

#define DECLARE(name) extern const struct pool_strategy pool_strategy_##name;
#define LIST(name) &pool_strategy_##name,
STRATEGIES(DECLARE)
static const struct pool_strategy *const strategies[] = {STRATEGIES(LIST) NULL};

#ifdef POOLMARK_CHECK
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

#define GROWTH_MAX 1000.0

static struct pool_base *base_of(struct pool *pool)
{
    return (struct pool_base *)pool;
}

const struct pool_strategy *const *pool_strategies(void)
{
    return strategies;
}

const struct pool_strategy *pool_strategy_find(const char *name)
{
    for (const struct pool_strategy *const *strategy = strategies; *strategy; strategy++)
        if (strcmp((*strategy)->name, name) == 0)
            return *strategy;
    return NULL;
}

const char *pool_strategy_name(const struct pool_strategy *strategy)
{
    return strategy->name;
}

const char *pool_strategy_summary(const struct pool_strategy *strategy)
{
    return strategy->summary;
}

unsigned pool_strategy_caps(const struct pool_strategy *strategy)
{
    return strategy->caps;
}

// A strategy's capability flags and its functions must agree.
static int check_strategy(const struct pool_strategy *strategy, struct err *err)
{
    unsigned caps = strategy->caps;
    const struct {
        const char *hook;
        bool wanted, there;
    } hooks[] = {
        {"open", true, strategy->open || strategy->open_as},
        {"get", true, strategy->get},
        {"put", true, strategy->put},
        {"stats", true, strategy->stats},
        {"close", true, strategy->close},
        {"preheat", caps & POOL_CAP_PREHEATS, strategy->preheat},
        {"get_bytes", caps & POOL_CAP_SIZED, strategy->get_bytes},
        {"sweep", caps & POOL_CAP_SWEEPS, strategy->sweep},
        {"trim", caps & POOL_CAP_SHRINKS, strategy->trim},
        {"resize", caps & POOL_CAP_RESIZES, strategy->resize},
    };
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
        if (hooks[i].wanted != hooks[i].there)
            return err_set(err, -EINVAL, "strategy %s: its capability flags and its function %s do not agree",
                           strategy->name, hooks[i].hook);
    return 0;
}

static int check_bounds(const struct pool_config *config, struct err *err)
{
    const char *name = config->name;
    if (!name || !*name)
        return err_set(err, -EINVAL, "pool: name is missing");
    if (config->object_bytes < 1 || config->object_bytes > POOL_OBJECT_BYTES_MAX)
        return err_set(err, -EINVAL, "pool %s: object_bytes is %zu; it must be 1 to %zu", name,
                       config->object_bytes, POOL_OBJECT_BYTES_MAX);
    if (config->initial < 0 || config->initial > POOL_COUNT_MAX)
        return err_set(err, -EINVAL, "pool %s: initial is %lld; it must be 0 to %lld", name,
                       (long long)config->initial, (long long)POOL_COUNT_MAX);
    if (config->max < 0 || config->max > POOL_COUNT_MAX)
        return err_set(err, -EINVAL, "pool %s: max is %lld; it must be 0 (unbounded) to %lld", name,
                       (long long)config->max, (long long)POOL_COUNT_MAX);
    if (config->max && config->initial > config->max)
        return err_set(err, -EINVAL, "pool %s: initial is %lld; it must not be above max, which is %lld",
                       name, (long long)config->initial, (long long)config->max);
    if (config->expand_at_percent < 1 || config->expand_at_percent > 100)
        return err_set(err, -EINVAL, "pool %s: expand_at_percent is %d; it must be 1 to 100", name,
                       config->expand_at_percent);
    if (!(config->growth >= 1.0 && config->growth <= GROWTH_MAX))
        return err_set(err, -EINVAL, "pool %s: growth is %g; it must be 1 to %g", name, config->growth,
                       GROWTH_MAX);
    if (config->growth_mode != POOL_GROW_INLINE && config->growth_mode != POOL_GROW_BACKGROUND)
        return err_set(err, -EINVAL, "pool %s: growth_mode is %d; it must be inline, background or default",
                       name, (int)config->growth_mode);
    if (config->growth_rule != POOL_RULE_FACTOR && config->growth_rule != POOL_RULE_ADAPTIVE)
        return err_set(err, -EINVAL, "pool %s: growth_rule is %d; it must be factor or adaptive", name,
                       (int)config->growth_rule);
    if (config->overflow != POOL_OVERFLOW_HEAP && config->overflow != POOL_OVERFLOW_REFUSE)
        return err_set(err, -EINVAL, "pool %s: overflow is %d; it must be heap or refuse", name,
                       (int)config->overflow);
    if (config->threads != POOL_THREADS_MANY && config->threads != POOL_THREADS_ONE)
        return err_set(err, -EINVAL, "pool %s: threads is %d; it must be many or one", name,
                       (int)config->threads);
    if (config->threads == POOL_THREADS_ONE && config->growth_mode == POOL_GROW_BACKGROUND)
        return err_set(err, -EINVAL,
                       "pool %s: threads is one, but growth_mode is background, which takes another", name);
    if (config->lock_inherits_priority && !pool_lock_can_inherit())
        return err_set(err, -ENOTSUP,
                       "pool %s: lock_inherits_priority is asked for, but the kernel has no such futex",
                       name);
    if (config->idle_ns < 0)
        return err_set(err, -EINVAL, "pool %s: idle_ns is %lld; it must not be negative", name,
                       (long long)config->idle_ns);
    return 0;
}

int pool_config_fit(const struct pool_strategy *strategy, struct pool_config *config)
{
    unsigned caps = strategy->caps;
    int changed = 0;
    if (config->initial && !(caps & POOL_CAP_PREHEATS)) {
        config->initial = 0;
        changed++;
    }
    if (config->max && !(caps & POOL_CAP_BOUNDED)) {
        config->max = 0;
        changed++;
    }
    if (config->overflow == POOL_OVERFLOW_REFUSE && !(caps & POOL_CAP_BOUNDED)) {
        config->overflow = POOL_OVERFLOW_HEAP;
        changed++;
    }
    if (config->growth_mode == POOL_GROW_BACKGROUND && !(caps & POOL_CAP_BACKGROUND)) {
        config->growth_mode = POOL_GROW_INLINE;
        changed++;
    }
    if (config->growth_rule == POOL_RULE_ADAPTIVE && !(caps & POOL_CAP_ADAPTS)) {
        config->growth_rule = POOL_RULE_FACTOR;
        changed++;
    }
    return changed;
}

static int check_config(const struct pool_strategy *strategy, const struct pool_config *config,
                        struct err *err)
{
    int code = check_bounds(config, err);
    if (code < 0)
        return code;
    struct pool_config fitted = *config;
    if (pool_config_fit(strategy, &fitted) == 0)
        return 0;
    if (fitted.initial != config->initial)
        return err_set(err, -EINVAL,
                       "pool %s: initial is %lld, but strategy %s keeps no objects ready: it must be 0",
                       config->name, (long long)config->initial, strategy->name);
    if (fitted.max != config->max)
        return err_set(err, -EINVAL, "pool %s: max is %lld, but strategy %s knows no bound: it must be 0",
                       config->name, (long long)config->max, strategy->name);
    if (fitted.overflow != config->overflow)
        return err_set(err, -EINVAL, "pool %s: overflow is refuse, but strategy %s knows no bound",
                       config->name, strategy->name);
    if (fitted.growth_rule != config->growth_rule)
        return err_set(err, -EINVAL, "pool %s: growth_rule is adaptive, but strategy %s does not adapt",
                       config->name, strategy->name);
    return err_set(err, -EINVAL,
                   "pool %s: growth_mode is background, but strategy %s does not grow in the background",
                   config->name, strategy->name);
}

static void on_thread_exit(void *context, int slot)
{
    struct pool_base *base = context;
    base->strategy->thread_exits((struct pool *)base, slot);
}

static void watch_threads(struct pool_base *base)
{
    base->watch = (struct thread_slot_watch){.on_exit = on_thread_exit, .context = base};
    if (base->strategy->thread_exits)
        thread_slot_watch_add(&base->watch);
}

static void unwatch_threads(struct pool_base *base)
{
    if (base->strategy->thread_exits)
        thread_slot_watch_remove(&base->watch);
}

// In checked builds. No other thread may use the pool meanwhile.
static void check_invariants(struct pool *pool, const char *when)
{
    const struct pool_base *base = base_of(pool);
    if (CHECKED && base->strategy->is_valid && !base->forked)
        pool_check_valid(base->config.name, base->strategy->is_valid(pool), when);
}

void pool_base_fill(struct pool *pool, const struct pool_strategy *strategy, const struct pool_config *config)
{
    struct pool_base *base = base_of(pool);
    pool_get_call *own_get = atomic_load_explicit(&base->get, memory_order_relaxed);
    pool_put_call *own_put = atomic_load_explicit(&base->put, memory_order_relaxed);
    base->strategy = strategy;
    base->config = *config;
    base->plain_get = own_get ? own_get : strategy->get;
    atomic_init(&base->plain_put, own_put ? own_put : strategy->put);
    atomic_init(&base->max, config->max);
    pool_wrap_choose(base);
}

static int open_with_name(struct pool **opened, const struct pool_strategy *strategy,
                          const struct pool_config *config, struct err *err)
{
    struct pool_config given = *config;
    given.object_bytes = handicap_object_bytes(config->object_bytes);
    struct pool *pool = NULL;
    int code = pool_fork_prepare();
    if (code < 0)
        return err_set(err, code, "pool %s: no memory for the handlers of fork", config->name);
    code = pool_strategy_open(strategy, &pool, &given, err);
    if (code < 0) {
        if (code == -ENOMEM)
            err_set(err, code, "pool %s: out of memory for %lld objects of %zu bytes (strategy %s)",
                    config->name, (long long)config->initial, config->object_bytes, strategy->name);
        return code;
    }
    struct pool_base *base = base_of(pool);
    pool_base_fill(pool, strategy, config);
    base->spin_rounds = handicap_spin_rounds(strategy, &given);
    if (CHECKED && !(strategy->caps & POOL_CAP_SHARES))
        base->check = pool_check_open(config->name, !pool_keeps_state(config));
    check_invariants(pool, "after open");
    pool_fork_add(base);
    watch_threads(base);
    *opened = pool;
    return 0;
}

// The mode that replaces POOL_GROW_DEFAULT, as far as it is known before a thread is started.
static enum pool_growth growth_mode_of(const struct pool_strategy *strategy, const struct pool_config *config)
{
    if (config->growth_mode != POOL_GROW_DEFAULT)
        return config->growth_mode;
    bool may = (strategy->caps & POOL_CAP_BACKGROUND) && config->threads == POOL_THREADS_MANY;
    return may ? POOL_GROW_BACKGROUND : POOL_GROW_INLINE;
}

int pool_open(struct pool **opened, const struct pool_strategy *strategy, const struct pool_config *config,
              struct err *err)
{
    struct pool_config asked = *config;
    int code = strategy ? check_strategy(strategy, err) : err_set(err, -EINVAL, "pool: strategy is missing");
    if (code == 0) {
        asked.growth_mode = growth_mode_of(strategy, config);
        code = check_config(strategy, &asked, err);
    }
    if (code < 0)
        return code;
    size_t name_bytes = strlen(config->name) + 1;
    char *name = pool_memory_alloc(name_bytes);
    if (!name)
        return err_set(err, -ENOMEM, "pool %s: out of memory", config->name);
    memcpy(name, config->name, name_bytes);
    asked.name = name; // lives as long as the pool, so a strategy may keep it
    code = open_with_name(opened, strategy, &asked, err);
    if (code == -EAGAIN && config->growth_mode == POOL_GROW_DEFAULT) { // no thread could be started
        asked.growth_mode = POOL_GROW_INLINE;
        code = open_with_name(opened, strategy, &asked, err);
    }
    if (code < 0)
        pool_memory_free(name);
    return code;
}

int pool_preheat(struct pool *pool, int64_t count)
{
    const struct pool_strategy *strategy = base_of(pool)->strategy;
    if (!(strategy->caps & POOL_CAP_PREHEATS))
        return -ENOTSUP;
    if (count < 0 || count > POOL_COUNT_MAX)
        return -ERANGE;
    if (pool_wrap_is_draining(base_of(pool)))
        return -ECANCELED;
    int code = count == 0 ? 0 : strategy->preheat(pool, count);
    // A drain that began meanwhile gave back, or refused, what was made.
    return pool_wrap_is_draining(base_of(pool)) ? -ECANCELED : code;
}

void *pool_get(struct pool *pool)
{
    struct pool_base *base = base_of(pool);
#ifdef POOLMARK_HANDICAP_GET
    handicap_bear(base->spin_rounds);
#endif
    // Relaxed: see struct pool_base.
    void *object = atomic_load_explicit(&base->get, memory_order_relaxed)(pool);
#ifdef POOLMARK_CHECK
    if (object && base->check)
        pool_check_got(base->check, object, base->config.object_bytes);
#endif
    return object;
}

void pool_put(struct pool *pool, void *object)
{
    struct pool_base *base = base_of(pool);
    if (__builtin_expect(!object, 0))
        return;
#ifdef POOLMARK_CHECK
    if (base->check)
        pool_check_put(base->check, object);
#endif
    atomic_load_explicit(&base->put, memory_order_relaxed)(pool, object);
}

void *pool_get_bytes(struct pool *pool, size_t bytes)
{
    struct pool_base *base = base_of(pool);
    if (!(base->strategy->caps & POOL_CAP_SIZED) || pool_keeps_state(&base->config))
        return bytes <= base->config.object_bytes ? pool_get(pool) : NULL;
    if (bytes > POOL_OBJECT_BYTES_MAX)
        return NULL;
    if (pool_wrap_is_draining(base))
        return pool_get(pool);
    void *object = base->strategy->get_bytes(pool, bytes);
#ifdef POOLMARK_CHECK
    if (object && base->check)
        pool_check_got(base->check, object, bytes);
#endif
    return object;
}

int64_t pool_sweep(struct pool *pool)
{
    const struct pool_strategy *strategy = base_of(pool)->strategy;
    if (pool_wrap_is_draining(base_of(pool)))
        return pool_drain(pool);
    return strategy->sweep ? strategy->sweep(pool) : 0;
}

int64_t pool_trim(struct pool *pool)
{
    const struct pool_strategy *strategy = base_of(pool)->strategy;
    return strategy->trim ? strategy->trim(pool) : 0;
}

int pool_resize(struct pool *pool, int64_t max)
{
    struct pool_base *base = base_of(pool);
    if (!(base->strategy->caps & POOL_CAP_RESIZES))
        return -ENOTSUP;
    if (max < 0 || max > POOL_COUNT_MAX)
        return -ERANGE;
    if (pool_wrap_is_draining(base))
        return -ECANCELED;
    return base->strategy->resize(pool, max);
}

int64_t pool_drain(struct pool *pool)
{
    struct pool_base *base = base_of(pool);
    pool_wrap_drain(base);
    return base->strategy->drain ? base->strategy->drain(pool) : pool_trim(pool);
}

void pool_stats(struct pool *pool, struct pool_stats *stats)
{
    *stats = (struct pool_stats){0};
    int64_t failed = pool_wrap_failed(base_of(pool));
    base_of(pool)->strategy->stats(pool, stats);
    pool_wrap_stats(base_of(pool), failed, stats);
}

struct pool_beside pool_beside(struct pool *pool, const struct pool_stats *stats)
{
    const struct pool_strategy *strategy = base_of(pool)->strategy;
    struct pool_beside beside = {.strays = stats->in_use - stats->owned};
    if (strategy->beside)
        strategy->beside(pool, &beside);
    if (beside.strays > stats->in_use) // others came since
        beside.strays = stats->in_use;
    if (beside.strays < 0)
        beside.strays = 0;
    return beside;
}

const struct pool_strategy *pool_strategy_of(const struct pool *pool)
{
    return ((const struct pool_base *)pool)->strategy;
}

const struct pool_config *pool_config_of(const struct pool *pool)
{
    return &((const struct pool_base *)pool)->config;
}

void pool_close(struct pool *pool)
{
    if (!pool)
        return;
    struct pool_base *base = base_of(pool);
    char *name = (char *)(uintptr_t)base->config.name; // allocated by pool_open
    // First of all. The threads that used the pool may exit any time: nobody can await the end of a detached one.
    // Nor may one find the pool in a child of fork, whose handlers do not know it any more.
    unwatch_threads(base);
    pool_fork_remove(base);
    pool_check_close(base->check);
    check_invariants(pool, "at close");
    base->strategy->close(pool);
    pool_memory_free(name);
}
