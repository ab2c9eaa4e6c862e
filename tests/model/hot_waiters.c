// SPDX-License-Identifier: Apache-2.0
// Explores every order of steps of the hot pool's own state (pools/hot/state.h), with a few threads, hosts
// and connections: checkouts, hand-overs, deadlines, returns, opens that succeed, fail, are late or come
// after a drain, checks, closes.
//
//     build/model/hot_waiters            # explores it, and shows that each of the known mistakes is found
//     build/model/hot_waiters --quick    # the smaller sizes
//     build/model/hot_waiters MISTAKE    # prints the trace to one
//
// Only the surroundings are modelled. The functions that decide are the program's own; each is one step, as
// under the pool's lock. A state is the memory that they use, at the same address for all states. The clock
// stands still; anything that takes time is a step.
//
// Claims, in every state:
//   - the pool is valid: bounds, counts, no waiter for a host with an idle connection;
//   - a connection is out to one thread, and none is lost;
//   - the waiter served is the longest for that host; no checkout takes an idle connection before a waiter;
//   - for a waiter an open is under way, as far as bounds and pauses permit, or room is made for one;
//   - no more opens begin than there are waiters;
//   - no thread waits for ever.
#include "pools/hot/state.h"
#include "tests/model/explore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, HOSTS = 2, SLOTS = 6, NOW_NS = 1000000 };

enum mistake {
    MISTAKE_NONE,
    MISTAKE_DEADLINE_FIRST, // at its deadline a waiter does not check whether it was served meanwhile
    MISTAKE_WAKE_ONLY,      // a return makes the connection idle and wakes a waiter, which then looks for it
    MISTAKE_NO_RETRY,       // after a failed open there is no retry
    MISTAKE_SILENT_CLOSE,   // the end of a close notifies no waiter of the room
    MISTAKE_SILENT_OVERDUE, // a late open is not replaced
    MISTAKE_DRAIN_ALONE,    // a drain leaves its waiters waiting
    MISTAKE_OPEN_ALL,       // an open begins although no checkout waits for it any more
    MISTAKES,
};
static const char *const mistake_names[] = {"none",         "deadline-first", "wake-only",   "no-retry",
                                            "silent-close", "silent-overdue", "drain-alone", "open-all"};

struct size {
    int threads, hosts, operations; // of each thread
    int total_max, host_max, idle_max;
    bool checks, drains, fail_fast;
};
static const struct size sizes[] = {
    {2, 1, 2, 1, 1, 1, true, true, false},   {3, 1, 1, 2, 2, 1, false, true, false},
    {2, 2, 2, 1, 1, 1, false, true, false},  {2, 1, 2, 1, 1, 1, false, true, true},
    {3, 1, 2, 2, 2, 2, false, false, false}, {3, 2, 1, 2, 1, 1, true, true, false},
};
enum { SIZES = sizeof sizes / sizeof sizes[0], QUICK_SIZES = 4 };

static struct size setup;
static enum mistake mistake;

enum pc { AT_REST, WAITING, CHECKING, HAS_ONE, DONE };

struct thread {
    enum pc pc;
    int left, host;
    uint64_t ticket;
    struct hot_connection *connection;
    struct hot_waiter waiter;
};

struct small {
    int used;
    struct hot_connection connection;
};
struct big {
    int used;
    _Alignas(16) char bytes[sizeof(struct hot_host) + 16];
};

// The memory of the functions. `pool` before its waiters never changes; statistics are not part of a state.
static struct hot_state pool;
static struct arena {
    struct small connections[SLOTS];
    struct big hosts[HOSTS];
    struct thread threads[THREADS];
} arena;
static struct hot_host *hosts[HOSTS];
static bool in_step;

enum {
    POOL_FROM = offsetof(struct hot_state, waiters),
    POOL_BYTES = offsetof(struct hot_state, stats) - POOL_FROM,
    STATE_BYTES = POOL_BYTES + sizeof arena
};

static void save(unsigned char *state)
{
    memcpy(state, (unsigned char *)&pool + POOL_FROM, POOL_BYTES);
    memcpy(state + POOL_BYTES, &arena, sizeof arena);
}

static void restore(const unsigned char *state)
{
    memcpy((unsigned char *)&pool + POOL_FROM, state, POOL_BYTES);
    memcpy(&arena, state + POOL_BYTES, sizeof arena);
}

// --- memory: through the linker's --wrap

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void __real_free(void *block);
void __wrap_free(void *block);

void *__wrap_calloc(size_t count, size_t bytes)
{
    if (!in_step)
        return __real_calloc(count, bytes);
    if (bytes == sizeof(struct hot_connection)) {
        for (int i = 0; i < SLOTS; i++) {
            if (!arena.connections[i].used) {
                arena.connections[i].used = 1;
                return &arena.connections[i].connection;
            }
        }
        abort(); // SLOTS is too small
    }
    for (int i = 0; i < HOSTS; i++) {
        if (!arena.hosts[i].used) {
            arena.hosts[i].used = 1;
            return arena.hosts[i].bytes;
        }
    }
    abort();
}

void __wrap_free(void *block)
{
    for (int i = 0; in_step && i < SLOTS; i++) {
        if (block == &arena.connections[i].connection) {
            memset(&arena.connections[i], 0, sizeof arena.connections[i]);
            return;
        }
    }
    __real_free(block);
}

// --- claims

static const char *violated;

static void claim(bool holds, const char *text)
{
    if (!holds && !violated)
        violated = text;
}

static bool demand_is_met(const struct hot_host *host)
{
    const int *count = host->count;
    if (host->waiting == 0 || pool.draining || (host->blocked_ns > NOW_NS && !pool.config.fail_fast))
        return true;
    if (count[HOT_WANTED] + count[HOT_OPENING] > 0)
        return true;
    if (hot_owned(count) + count[HOT_OVERDUE] >= pool.config.host_max)
        return true;
    return hot_owned(pool.count) >= pool.config.total_max &&
           (pool.count[HOT_ENDING] + pool.count[HOT_CLOSING] > 0 || pool.count[HOT_IDLE] == 0);
}

static bool has(const struct thread *thread, const struct hot_connection *connection)
{
    if (thread->pc == WAITING)
        return thread->waiter.answer == HOT_SERVED && thread->waiter.connection == connection;
    return thread->pc == HAS_ONE && thread->connection == connection;
}

static void check_claims(const struct hot_waiter *const first[HOSTS], const bool waited[THREADS])
{
    claim(hot_state_is_valid(&pool), "the pool is not valid");
    for (int i = 0; i < setup.hosts; i++)
        claim(demand_is_met(hosts[i]), "for who waits nothing is under way");
    for (int i = 0; i < SLOTS; i++) {
        const struct small *small = &arena.connections[i];
        int holders = 0;
        for (int t = 0; t < setup.threads; t++)
            holders += has(&arena.threads[t], &small->connection);
        bool out = small->used && small->connection.where == HOT_OUT;
        claim(holders <= 1, "two have one connection");
        claim(holders == (out ? 1 : 0), "a connection that is out is nobody's, or the other way round");
    }
    for (int t = 0; t < setup.threads; t++) {
        const struct thread *thread = &arena.threads[t];
        if (waited[t] && thread->pc == WAITING && thread->waiter.answer == HOT_SERVED)
            claim(first[thread->host] == &thread->waiter, "who was served had not waited longest");
    }
}

// --- steps of a thread

static void begin_wait(struct thread *me)
{
    memset(&me->waiter, 0, sizeof me->waiter);
    me->waiter.host = hosts[me->host];
    me->waiter.ticket = me->ticket;
    me->pc = WAITING;
    hot_state_wait(&pool, &me->waiter, NOW_NS);
}

static void end_operation(struct thread *me)
{
    memset(&me->waiter, 0, sizeof me->waiter);
    me->connection = NULL;
    me->ticket = 0;
    me->host = 0;
    me->pc = --me->left > 0 ? AT_REST : DONE;
}

static void look(struct thread *me)
{
    struct hot_host *host = hosts[me->host];
    if (pool.draining) {
        end_operation(me);
        return;
    }
    const struct hot_waiter *first = TAILQ_FIRST(&host->waiters);
    bool barges = first && first->ticket < me->ticket;
    struct hot_connection *connection = hot_state_take(&pool, host, me->ticket, NOW_NS);
    claim(!connection || !barges, "a checkout overtook a waiter");
    me->connection = connection;
    if (!connection)
        begin_wait(me);
    else
        me->pc = connection->where == HOT_CHECKED ? CHECKING : HAS_ONE;
}

static void end_check(struct thread *me, bool healthy)
{
    struct hot_connection *connection = me->connection;
    hot_state_checked(&pool, connection, healthy, true, NOW_NS);
    me->pc = HAS_ONE;
    if (connection->where != HOT_OUT) {
        me->connection = NULL;
        look(me);
    }
}

static bool wake(struct thread *me)
{
    if (me->waiter.answer == HOT_WAITS)
        return false;
    if (me->waiter.answer == HOT_REFUSED) {
        end_operation(me);
        return true;
    }
    me->connection = me->waiter.connection;
    memset(&me->waiter, 0, sizeof me->waiter);
    me->pc = HAS_ONE;
    return true;
}

// Thread 0 has no deadline.
static bool reach_deadline(struct thread *me)
{
    if (me == &arena.threads[0])
        return false;
    if (me->waiter.answer == HOT_WAITS) {
        hot_state_give_up(&pool, &me->waiter);
        end_operation(me);
        return true;
    }
    if (mistake != MISTAKE_DEADLINE_FIRST)
        return wake(me);
    end_operation(me);
    return true;
}

static void give_back(struct thread *me, bool works)
{
    struct hot_connection *connection = me->connection;
    if (mistake == MISTAKE_WAKE_ONLY && works && connection->host->waiting > 0)
        hot_connection_put_idle(&pool, connection);
    else
        hot_state_return(&pool, connection, works, NOW_NS);
    end_operation(me);
}

static bool step_thread(struct thread *me, int what)
{
    switch (me->pc) {
    case AT_REST:
        if (what >= setup.hosts)
            return false;
        me->host = what;
        me->ticket = pool.next_ticket++;
        look(me);
        return true;
    case WAITING:
        return what == 0 ? wake(me) : reach_deadline(me);
    case CHECKING:
        end_check(me, what == 0);
        return true;
    case HAS_ONE:
        give_back(me, what == 0);
        return true;
    default:
        return false;
    }
}

// --- steps of the pool's threads, and of time

enum { OF_A_THREAD = 2, OPEN_WELL = 0, OPEN_FAILS, IS_LATE, CLOSE_ENDS, CHECK_WELL, CHECK_ILL, OF_A_SLOT };
enum { BEGIN_OPEN, BEGIN_CLOSE, BEGIN_CHECK, DRAIN, RETRY, OTHERS };

static bool is_checked_by_thread(const struct hot_connection *connection)
{
    for (int t = 0; t < setup.threads; t++) {
        if (arena.threads[t].pc == CHECKING && arena.threads[t].connection == connection)
            return true;
    }
    return false;
}

static bool step_slot(struct small *slot, int what)
{
    struct hot_connection *connection = &slot->connection;
    enum hot_where where = connection->where;
    if (!slot->used)
        return false;
    if (what == OPEN_WELL || what == OPEN_FAILS) {
        if (where != HOT_OPENING && where != HOT_OVERDUE)
            return false;
        (void)hot_state_opened(&pool, connection, what == OPEN_WELL ? 0 : -ECONNREFUSED, NOW_NS);
    } else if (what == IS_LATE) {
        if (where != HOT_OPENING || pool.count[HOT_OVERDUE] > 0)
            return false;
        connection->began_ns = NOW_NS - pool.config.open_timeout_ns;
        if (mistake == MISTAKE_SILENT_OVERDUE)
            hot_connection_move(&pool, connection, HOT_OVERDUE);
        else
            hot_state_expire(&pool, NOW_NS);
    } else if (what == CLOSE_ENDS) {
        if (where != HOT_CLOSING)
            return false;
        if (mistake == MISTAKE_SILENT_CLOSE)
            hot_connection_free(&pool, connection);
        else
            hot_state_closed(&pool, connection, NOW_NS);
    } else {
        if (where != HOT_CHECKED || is_checked_by_thread(connection))
            return false;
        hot_state_checked(&pool, connection, what == CHECK_WELL, false, NOW_NS);
    }
    return true;
}

static bool begin_open(void)
{
    struct hot_connection *connection = TAILQ_FIRST(&pool.lists[HOT_WANTED]);
    if (!connection)
        return false;
    if (mistake == MISTAKE_OPEN_ALL)
        hot_connection_move(&pool, connection, HOT_OPENING);
    else
        connection = hot_state_next_open(&pool, NOW_NS);
    if (connection)
        claim(connection->host->count[HOT_OPENING] <= connection->host->waiting,
              "more opens begin than waiters are there");
    return true;
}

static bool retry(void)
{
    bool any = false;
    for (int i = 0; i < setup.hosts; i++) {
        any = any || hosts[i]->blocked_ns > NOW_NS;
        hosts[i]->blocked_ns = 0;
    }
    if (any && mistake != MISTAKE_NO_RETRY)
        hot_state_expire(&pool, NOW_NS);
    return any && mistake != MISTAKE_NO_RETRY;
}

static bool step_other(int what)
{
    switch (what) {
    case BEGIN_OPEN:
        return begin_open();
    case BEGIN_CLOSE:
        return hot_state_next_close(&pool) != NULL;
    case BEGIN_CHECK:
        return setup.checks && pool.count[HOT_CHECKED] == 0 && hot_state_next_check(&pool, false, NOW_NS);
    case DRAIN:
        if (!setup.drains || pool.draining)
            return false;
        if (mistake == MISTAKE_DRAIN_ALONE)
            pool.draining = true;
        else
            hot_state_drain(&pool);
        return true;
    default:
        return retry();
    }
}

// --- states

// Reduces values that only grow to their meaning, so that equivalent states are one state.
static void normalise(void)
{
    uint64_t tickets[THREADS], least = 0;
    memset(&pool.stats, 0, sizeof pool.stats);
    pool.round = 0;
    pool.retry_ns = INT64_MAX;
    for (int i = 0; i < setup.hosts; i++) {
        hosts[i]->planned_round = 0;
        hosts[i]->failures = hosts[i]->failures > 0;
        hosts[i]->last_code = 0;
        hosts[i]->open_ns = hosts[i]->use_ns = 1; // so that connections wanted = waiters
        hosts[i]->last_open_ns = 1;
        hosts[i]->hungry_ns = NOW_NS;
    }
    for (int i = 0; i < SLOTS; i++) {
        struct hot_connection *connection = &arena.connections[i].connection;
        connection->uses = 0;
        connection->reason = 0;
        connection->checked_ns = arena.connections[i].used ? NOW_NS - 1 : 0;
    }
    for (int t = 0; t < THREADS; t++) {
        tickets[t] = 0;
        for (int other = 0; other < THREADS && arena.threads[t].ticket; other++)
            tickets[t] +=
                arena.threads[other].ticket && arena.threads[other].ticket <= arena.threads[t].ticket;
        least += arena.threads[t].ticket > 0;
    }
    for (int t = 0; t < THREADS; t++) {
        arena.threads[t].ticket = tickets[t];
        if (arena.threads[t].pc == WAITING)
            arena.threads[t].waiter.ticket = tickets[t];
    }
    pool.next_ticket = least + 1;
}

enum { CHOICES = THREADS * OF_A_THREAD + SLOTS * OF_A_SLOT + OTHERS };

static bool step_any(int choice)
{
    if (choice < THREADS * OF_A_THREAD)
        return step_thread(&arena.threads[choice / OF_A_THREAD], choice % OF_A_THREAD);
    choice -= THREADS * OF_A_THREAD;
    if (choice < SLOTS * OF_A_SLOT)
        return step_slot(&arena.connections[choice / OF_A_SLOT], choice % OF_A_SLOT);
    return step_other(choice - SLOTS * OF_A_SLOT);
}

static bool step(void *state, int choice, const char **violation)
{
    const struct hot_waiter *first[HOSTS] = {NULL};
    bool waited[THREADS] = {false};
    restore(state);
    violated = NULL;
    for (int i = 0; i < setup.hosts; i++)
        first[i] = TAILQ_FIRST(&hosts[i]->waiters);
    for (int t = 0; t < setup.threads; t++)
        waited[t] = arena.threads[t].pc == WAITING && arena.threads[t].waiter.answer == HOT_WAITS;
    in_step = true;
    bool enabled = step_any(choice);
    in_step = false;
    if (!enabled)
        return false;
    check_claims(first, waited);
    normalise();
    save(state);
    *violation = violated;
    return true;
}

static bool is_final(const void *state, const char **violation)
{
    restore(state);
    for (int t = 0; t < setup.threads; t++) {
        if (arena.threads[t].pc != DONE)
            return false;
    }
    if (pool.draining && hot_owned(pool.count) + pool.count[HOT_OVERDUE] > 0)
        *violation = "a drain is not through";
    return true;
}

static void describe(const void *state, int choice, char *text, size_t text_bytes)
{
    static const char *const slot_steps[] = {"open succeeds", "open fails", "open is late",
                                             "close ends",    "is healthy", "is not healthy"};
    static const char *const other_steps[] = {"an open begins", "a close begins", "a check begins", "drain",
                                              "pauses are over"};
    restore(state);
    int slot = choice - THREADS * OF_A_THREAD, other = slot - SLOTS * OF_A_SLOT;
    int used = 0;
    if (slot < 0)
        used = snprintf(text, text_bytes, "thread %d (pc %d): %d", choice / OF_A_THREAD,
                        arena.threads[choice / OF_A_THREAD].pc, choice % OF_A_THREAD);
    else if (other < 0)
        used = snprintf(text, text_bytes, "connection %d %s", slot / OF_A_SLOT, slot_steps[slot % OF_A_SLOT]);
    else
        used = snprintf(text, text_bytes, "%s", other_steps[other]);
    (void)snprintf(
        text + used, text_bytes - (size_t)used,
        " | %d wait; wanted %d opening %d overdue %d idle %d out %d checked %d ending %d closing %d",
        pool.waiting, pool.count[HOT_WANTED], pool.count[HOT_OPENING], pool.count[HOT_OVERDUE],
        pool.count[HOT_IDLE], pool.count[HOT_OUT], pool.count[HOT_CHECKED], pool.count[HOT_ENDING],
        pool.count[HOT_CLOSING]);
}

static int never_open(void *context, const char *host, int64_t until_ns, void **resource)
{
    (void)context, (void)host, (void)until_ns, (void)resource;
    return -ENOSYS;
}

static void never_close(void *context, void *resource)
{
    (void)context, (void)resource;
}

static bool always_healthy(void *context, void *resource)
{
    (void)context, (void)resource;
    return true;
}

static void begin(void)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    config.resource = (struct hot_resource){
        .open = never_open, .close = never_close, .healthy = setup.checks ? always_healthy : NULL};
    config.total_max = setup.total_max;
    config.host_max = setup.host_max;
    config.idle_max = setup.idle_max;
    config.fail_fast = setup.fail_fast;
    config.check_after_ns = config.check_every_ns = 1;
    config.idle_ns = config.lifetime_ns = 0;
    memset(&arena, 0, sizeof arena);
    if (hot_state_init(&pool, &config) < 0)
        abort();
    in_step = true;
    for (int i = 0; i < setup.hosts; i++)
        hosts[i] = hot_host_hold(&pool, i ? "b" : "a"); // never released
    in_step = false;
    for (int t = 0; t < THREADS; t++)
        arena.threads[t] =
            (struct thread){.pc = t < setup.threads ? AT_REST : DONE, .left = setup.operations};
    normalise();
}

static bool run(size_t size, enum mistake with, bool trace, struct explore_result *result)
{
    static const struct explore_model model = {
        .bytes = STATE_BYTES, .choices = CHOICES, .step = step, .is_final = is_final, .describe = describe};
    static unsigned char initial[STATE_BYTES];
    setup = sizes[size];
    mistake = with;
    begin();
    save(initial);
    return explore(&model, initial, trace, result);
}

static bool is_found(enum mistake which, bool trace)
{
    for (size_t i = 0; i < SIZES; i++) {
        struct explore_result result;
        if (run(i, which, trace, &result))
            continue;
        printf("mistake %-15s found: %s (%d threads, after %lld states)\n", mistake_names[which],
               result.violation, setup.threads, (long long)result.states);
        return true;
    }
    printf("mistake %-15s NOT FOUND\n", mistake_names[which]);
    return false;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < MISTAKES && argc > 1; i++) {
        if (strcmp(argv[1], mistake_names[i]) == 0)
            return is_found((enum mistake)i, true) ? 0 : 1;
    }
    int passed = 0;
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0, good = argc == 1 || quick;
    if (!good)
        fprintf(stderr, "hot_waiters: '%s' is neither --quick nor a mistake\n", argv[1]);
    for (size_t i = 0; good && i < (quick ? (size_t)QUICK_SIZES : (size_t)SIZES); i++, passed += good) {
        struct explore_result result;
        good = run(i, MISTAKE_NONE, true, &result);
        printf("%d threads, %d operations each, %d hosts of %d, %d in all, %d idle%s%s%s: %lld states, %lld "
               "steps: %s\n",
               setup.threads, setup.operations, setup.hosts, setup.host_max, setup.total_max, setup.idle_max,
               setup.checks ? ", checks" : "", setup.drains ? ", drain" : "",
               setup.fail_fast ? ", fail fast" : "", (long long)result.states, (long long)result.transitions,
               good ? "holds" : result.violation);
    }
    for (int i = 1; good && i < MISTAKES; i++, passed += good)
        good = is_found((enum mistake)i, false);
    printf("%d passed, %d failed\n", passed, !good);
    return good ? 0 : argc > 1 && !quick ? 2 : 1;
}
