// SPDX-License-Identifier: Apache-2.0
// A model of strategy `slab` at its bound, as pools/slab/pool.h describes it: rows with their traps; taking
// rows back with a membarrier that may be refused from some time on; the search that ends in a refusal or an
// overflow object; trim; and threads that end. Explores every interleaving of its steps, with stores that
// other threads see late but in order, as on x86 (TSO).
//
//     build/model/slab_rows              # explores it, and shows that each of the known mistakes is found
//     build/model/slab_rows --quick      # the same with two threads and two operations each
//     build/model/slab_rows MISTAKE      # prints the trace to one
//
// Claims, in every state:
//   - an object is never out twice;
//   - an overflow object is never in a magazine;
//   - no object is lost: in the end each is in one place;
//   - a get is refused, or given an overflow object, only when at one instant of its call no object was free.
//     Not counted: objects in a row that no other thread may touch since membarrier was refused, until its
//     owner comes;
//   - no thread waits for ever.
//
// A get whose construct fails is modelled as a get past the rows and its put; so is construction ahead of
// need.
//
// The model is simpler than the program: a magazine holds one or two objects, a row has one magazine, there
// is one word of bits, and each critical section of the store is one step. A step reads or writes one
// variable that other threads may change meanwhile.
#include "tests/model/explore.h"
#include "tests/model/slab_model.h"

#include <stdio.h>

static const char *const mistake_names[] = {"none",           "mode-first", "no-barrier",
                                            "ignore-refusal", "no-wait",    "bit-late",
                                            "no-move",        "look-once",  "exposed-stays"};

struct setup setup;

enum { STEP = OPERATIONS, GRANT = STEP, REFUSE, FLUSH, OF_A_THREAD };

static bool step_thread(struct state *s, int t, int what)
{
    int pc = s->threads[t].pc;
    if (what == FLUSH)
        return flush_one(s, t);
    if (pc == CHOOSE)
        return what < OPERATIONS && choose(s, t, what);
    if (pc == SEARCH_BARRIER)
        return (what == GRANT || what == REFUSE) && step_barrier(s, t, what == REFUSE);
    if (what != STEP || pc == ENDED)
        return false;
    if (pc <= GET_LEAVE_SLOW)
        return step_get_hot(s, t);
    if (pc <= SLOW_UNLOCK)
        return step_get_slow(s, t);
    if (pc <= SINGLE_FREE || pc == PAST_MAX)
        return step_single(s, t);
    if (pc == SEARCH_MOVES || pc == SEARCH_FREE || pc >= SEARCH_AFTER)
        if (pc <= SEARCH_GROW_UNLOCK)
            return step_search(s, t);
    if (pc <= SEARCH_CLEAR)
        return step_search_rows(s, t);
    if (pc <= PUT_LEAVE_SLOW)
        return step_put_hot(s, t);
    if (pc <= PUT_DONE)
        return step_put_slow(s, t);
    return pc <= TRIM_GIVE ? step_trim(s, t) : step_exit(s, t);
}

static bool step(void *state, int choice, const char **violation)
{
    struct state *s = state;
    int t = choice / OF_A_THREAD;
    (void)claims_violated();
    if (t >= setup.threads)
        return false;
    watch(s);
    bool enabled = step_thread(s, t, choice % OF_A_THREAD);
    if (enabled)
        watch(s);
    const char *violated = claims_violated();
    *violation = enabled ? violated : NULL;
    return enabled;
}

static bool is_final(const void *state, const char **violation)
{
    const struct state *s = state;
    unsigned char seen = s->store;
    (void)claims_violated();
    for (int t = 0; t < setup.threads; t++)
        if (s->threads[t].pc != ENDED)
            return false;
    for (int i = 0; i < s->depot_count; i++) {
        claim(!(seen & s->depot[i]), "an object is in two places");
        seen |= s->depot[i];
    }
    claim(seen == BIT(setup.objects) - 1, "an object is lost");
    *violation = claims_violated();
    return true;
}

static void describe(const void *state, int choice, char *text, size_t text_bytes)
{
    const struct state *s = state;
    int t = choice / OF_A_THREAD, what = choice % OF_A_THREAD;
    const struct thread *me = &s->threads[t];
    snprintf(text, text_bytes,
             "thread %d %s pc %d object %d | store %x depot %d holding %x exposed %x moves %d none_since %d "
             "fenced %d",
             t,
             what == FLUSH    ? "store is seen"
             : what == REFUSE ? "barrier refused"
                              : "steps",
             me->pc, me->object, s->store, s->depot_count, s->holding, s->exposed, s->moves, s->none_since,
             s->fenced);
}

static bool run(bool trace, struct explore_result *result)
{
    static const struct explore_model model = {.bytes = sizeof(struct state),
                                               .choices = THREADS * OF_A_THREAD,
                                               .step = step,
                                               .is_final = is_final,
                                               .describe = describe};
    struct state initial = {.none_since = 255, .fenced = 1, .store = (unsigned char)(BIT(setup.objects) - 1)};
    for (int t = 0; t < THREADS; t++)
        initial.threads[t] = (struct thread){
            .pc = CHOOSE, .left = (unsigned char)setup.operations, .held = {NONE, NONE}, .object = NONE};
    return explore(&model, &initial, trace, result);
}

// threads, objects, capacity, operations of each thread
static const int sizes[][4] = {{2, 2, 2, 2}, {2, 2, 1, 2}, {3, 1, 1, 1}};

static void size_setup(size_t i, bool may_refuse, enum mistake mistake)
{
    setup.threads = sizes[i][0];
    setup.objects = sizes[i][1];
    setup.capacity = sizes[i][2];
    setup.operations = sizes[i][3];
    setup.may_refuse = may_refuse;
    setup.mistake = mistake;
}

enum { SIZES = sizeof sizes / sizeof sizes[0], QUICK_SIZES = 2 };

// True when the mistake shows in one of the sizes.
static bool is_found(enum mistake mistake, bool trace)
{
    for (size_t i = 0; i < SIZES; i++) {
        struct explore_result result;
        size_setup(i, true, mistake);
        if (run(trace, &result))
            continue;
        printf("mistake %-15s found: %s (%d threads, after %lld states)\n", mistake_names[mistake],
               result.violation, setup.threads, (long long)result.states);
        return true;
    }
    printf("mistake %-15s NOT FOUND\n", mistake_names[mistake]);
    return false;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < MISTAKES && argc > 1; i++)
        if (strcmp(argv[1], mistake_names[i]) == 0)
            return is_found((enum mistake)i, true) ? 0 : 1;
    int passed = 0;
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0, good = argc == 1 || quick;
    if (!good)
        fprintf(stderr, "slab_rows: '%s' is neither --quick nor a mistake\n", argv[1]);
    for (size_t i = 0; good && i < (quick ? 2 * (size_t)QUICK_SIZES : 2 * (size_t)SIZES); i++) {
        struct explore_result result;
        size_setup(i / 2, i % 2, MISTAKE_NONE);
        good = run(true, &result);
        printf("%d threads, %d objects, magazines of %d, %d operations each, barrier %s: %lld states, %lld "
               "steps: %s\n",
               setup.threads, setup.objects, setup.capacity, setup.operations,
               setup.may_refuse ? "may be refused" : "works", (long long)result.states,
               (long long)result.transitions, good ? "holds" : result.violation);
        passed += good;
    }
    for (int mistake = 1; good && mistake < MISTAKES; mistake++, passed += good)
        good = is_found((enum mistake)mistake, false);
    printf("%d passed, %d failed\n", passed, !good);
    return good ? 0 : argc > 1 && !quick ? 2 : 1;
}
