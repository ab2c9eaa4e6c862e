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
#include "tests/model/explore.h"
#include "tests/model/hot_model.h"

#include <stdio.h>
#include <string.h>

static const char *const mistake_names[] = {"none",         "deadline-first", "wake-only",   "no-retry",
                                            "silent-close", "silent-overdue", "drain-alone", "open-all"};

static const struct size sizes[] = {
    {2, 1, 2, 1, 1, 1, true, true, false},   {3, 1, 1, 2, 2, 1, false, true, false},
    {2, 2, 2, 1, 1, 1, false, true, false},  {2, 1, 2, 1, 1, 1, false, true, true},
    {3, 1, 2, 2, 2, 2, false, false, false}, {3, 2, 1, 2, 1, 1, true, true, false},
};
enum { SIZES = sizeof sizes / sizeof sizes[0], QUICK_SIZES = 4 };

struct size setup;
enum mistake mistake;

// --- claims

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

// --- states

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
    (void)claims_violated();
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
    *violation = claims_violated();
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
