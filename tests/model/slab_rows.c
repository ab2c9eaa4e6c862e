// SPDX-License-Identifier: Apache-2.0
// A model of strategy `slab` at its bound, as pools/slab/pool.h describes it: rows with their traps, taking
// them back with a membarrier that may be refused from some time on, the search that ends in a refusal or an
// overflow object, trim, and threads that end. Every interleaving of its steps is looked at, with stores that
// others see late, in order, as x86 has it (TSO).
//
//     build/model/slab_rows              # explores it, and shows that each of the known mistakes is found
//     build/model/slab_rows --quick      # the same with two threads and two operations each
//     build/model/slab_rows MISTAKE      # prints the trace to one
//
// What is claimed, in every state:
//   - an object is never out twice;
//   - an overflow object is never in a magazine;
//   - no object is lost: in the end each is in one place;
//   - a get is refused, or given an overflow object, only when at one instant of its call no object was free
//   (but for
//     those in a row that nobody may touch since membarrier was refused, until its owner comes);
//   - nobody waits for ever.
//
// What is simpler than the program: a magazine holds one or two objects, a row has one of them, there is one
// word of bits, and the store's critical sections are one step each. One step reads or writes one thing that
// others may change meanwhile.
#include "tests/model/explore.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 3, ROUNDS = 2, BUFFERED = 6, OVERFLOW_OBJECT = 6, NONE = 7 };

// What the owners' hot paths share with others: written through the writer's store buffer.
enum variable { BUSY, TOP, OPEN, LOCK, ROUND, VARIABLES = ROUND + ROUNDS };

// Mistakes that the model can be given; MISTAKE_NONE is the protocol as it is.
enum mistake {
    MISTAKE_NONE,
    MISTAKE_MODE_FIRST,     // as it was: "nothing is free" is said before the rows are closed, and a put asks
                            // nothing
    MISTAKE_NO_BARRIER,     // rows are closed, and nobody waits until their owners see it
    MISTAKE_IGNORE_REFUSAL, // as it was: membarrier's answer is not looked at
    MISTAKE_NO_WAIT,        // nobody waits for an owner to leave the hot path
    MISTAKE_BIT_LATE,       // a row takes before it says that it holds
    MISTAKE_NO_MOVE,        // a row that begins to hold is not counted as a move
    MISTAKE_LOOK_ONCE,      // whether anything moved meanwhile is not looked at
    MISTAKE_EXPOSED_STAYS,  // a row that nobody may touch is taken by the next who looks
    MISTAKES,
};
static const char *const mistake_names[] = {"none",           "mode-first", "no-barrier",
                                            "ignore-refusal", "no-wait",    "bit-late",
                                            "no-move",        "look-once",  "exposed-stays"};

static struct {
    int threads, objects, capacity, operations; // of each thread
    bool may_refuse;                            // the barrier
    enum mistake mistake;
} setup;

enum pc {
    CHOOSE,
    GET_ENTER,
    GET_TOP,
    GET_LOW,
    GET_POP,
    GET_LEAVE,
    GET_LEAVE_SLOW,
    KNOWN_NONE,
    KNOWN_MOVES,
    SLOW_LOCK,
    SLOW_LOAD_BIT,
    SLOW_LOAD_MOVE,
    SLOW_LOAD_STORE,
    SLOW_LOAD_DEPOT,
    SLOW_LOAD_CLEAR,
    SLOW_POP,
    SLOW_ARM,
    SLOW_UNLOCK,
    SINGLE_TAKE,
    SINGLE_GROW_LOCK,
    SINGLE_FREE,
    SEARCH_MOVES,
    SEARCH_FREE,
    SEARCH_BITS,
    SEARCH_LOCK,
    SEARCH_CLOSE,
    SEARCH_BARRIER,
    SEARCH_PASSES,
    SEARCH_WAIT,
    SEARCH_GIVE,
    SEARCH_COUNT,
    SEARCH_CLEAR,
    SEARCH_AFTER,
    SEARCH_UNLOCK,
    SEARCH_SAY,
    SEARCH_GROW_UNLOCK,
    PAST_MAX,
    PUT_ENTER,
    PUT_TOP,
    PUT_HIGH,
    PUT_ROUND,
    PUT_PUSH,
    PUT_LEAVE,
    PUT_LEAVE_SLOW,
    PSLOW_LOCK,
    PSLOW_DEPOT,
    PSLOW_DEPOT_MOVE,
    PSLOW_BIT,
    PSLOW_MOVE,
    PSLOW_ROUND,
    PSLOW_PUSH,
    PSLOW_ARM,
    PSLOW_UNLOCK,
    PSINGLE_GIVE,
    PSINGLE_MOVE,
    PUT_DONE,
    TRIM_GROW_LOCK,
    TRIM_DRAIN,
    TRIM_GIVE,
    EXIT_LOCK,
    EXIT_GIVE,
    EXIT_COUNT,
    EXIT_CLEAR,
    EXIT_UNLOCK,
    ENDED,
};

// What an object is to its users: the ghost that the claims are about.
enum { FREE, USED, PUTTING }; // by thread 0, and so on

struct thread {
    unsigned char pc, left;         // operations it may still begin
    unsigned char held[2];          // objects, or NONE
    unsigned char object, top;      // in hand; as the hot path read it
    unsigned char before, after;    // moves
    unsigned char bits, locked, at; // rows to look at; that it has; where it is
    unsigned char found, passes, none;
    unsigned char trims; // it searches for trim
    unsigned char buffered, buffer[BUFFERED];
    unsigned char saw_none, excused; // during this get: nothing was free; something was out of reach
};

struct state {
    unsigned char memory[THREADS][VARIABLES];
    struct thread threads[THREADS];
    unsigned char store, depot[3], depot_count; // a bit an object; magazines as bits
    unsigned char holding, moves, none_since, grow_lock, fenced;
    unsigned char holds, exposed, without; // a bit a row, under its lock
    unsigned char ghost[6];
};
_Static_assert(_Alignof(struct state) == 1, "states are compared byte by byte");

#define BIT(n) ((unsigned char)(1u << (n)))

static const char *violated;

static void claim(bool holds, const char *otherwise)
{
    if (!holds && !violated)
        violated = otherwise;
}

// --- memory ---------------------------------------------------------------------------------------------

static unsigned char load(const struct state *s, int t, int row, int variable)
{
    const struct thread *thread = &s->threads[t];
    for (int i = thread->buffered - 1; i >= 0; i--)
        if (thread->buffer[i] >> 3 == row * VARIABLES + variable)
            return thread->buffer[i] & 7;
    return s->memory[row][variable];
}

static bool can_write(const struct state *s, int t)
{
    return s->threads[t].buffered < BUFFERED;
}

static void write_to(struct state *s, int t, int row, int variable, unsigned value)
{
    struct thread *thread = &s->threads[t];
    assert(thread->buffered < BUFFERED && row * VARIABLES + variable < 32 && value < 8);
    thread->buffer[thread->buffered++] = (unsigned char)((unsigned)(row * VARIABLES + variable) << 3 | value);
}

static bool flush_one(struct state *s, int t)
{
    struct thread *thread = &s->threads[t];
    if (thread->buffered == 0)
        return false;
    int variable = thread->buffer[0] >> 3;
    s->memory[variable / VARIABLES][variable % VARIABLES] = thread->buffer[0] & 7;
    memmove(thread->buffer, thread->buffer + 1, BUFFERED - 1);
    thread->buffer[--thread->buffered] = 0;
    return true;
}

// Operations that lock wait until the own stores are seen.
static bool drained(const struct state *s, int t)
{
    return s->threads[t].buffered == 0;
}

static bool lock_row(struct state *s, int t, int row)
{
    if (!drained(s, t) || s->memory[row][LOCK])
        return false;
    s->memory[row][LOCK] = 1;
    return true;
}

// --- the ghost ------------------------------------------------------------------------------------------

static bool nothing_free(const struct state *s)
{
    for (int i = 0; i < setup.objects; i++)
        if (s->ghost[i] == FREE)
            return false;
    return true;
}

// Before and after each step.
static void watch(struct state *s)
{
    for (int t = 0; t < setup.threads; t++) {
        s->threads[t].saw_none |= nothing_free(s);
        s->threads[t].excused |= s->exposed && !s->fenced;
        if (s->threads[t].pc < GET_ENTER || s->threads[t].pc > PAST_MAX)
            s->threads[t].saw_none = s->threads[t].excused = 0; // it is in no get
    }
}

static void is_got(struct state *s, int object)
{
    claim(object < setup.objects, "something that is no object of the pool was in a magazine");
    if (object >= setup.objects)
        return;
    claim(s->ghost[object] != USED, "an object is out twice");
    s->ghost[object] = USED;
}

static void is_put(struct state *s, int t, int object)
{
    if (object < setup.objects && s->ghost[object] == PUTTING + t) // nobody has got it again already
        s->ghost[object] = FREE;
}

// --- small parts ----------------------------------------------------------------------------------------

static unsigned char lowest(unsigned char set)
{
    return (unsigned char)__builtin_ctz(set);
}

static unsigned char objects_of(const struct state *s, int row)
{
    unsigned char set = 0;
    for (int i = 0; i < s->memory[row][TOP]; i++) {
        unsigned char object = s->memory[row][ROUND + i];
        claim(object < setup.objects, "an overflow object is in a magazine");
        claim(object >= setup.objects || !(set & BIT(object)), "an object is in a magazine twice");
        if (object < setup.objects)
            set |= BIT(object);
    }
    return set;
}

static void give(struct state *s, unsigned char set)
{
    claim(!(s->store & set), "an object is given to the store twice");
    s->store |= set;
}

static bool in_store_or_depot(const struct state *s)
{
    return s->store || s->depot_count;
}

static void load_row(struct state *s, int t, unsigned char set)
{
    unsigned char top = 0;
    for (; set; set &= (unsigned char)(set - 1))
        s->memory[t][ROUND + top++] =
            lowest(set); // the row is locked and its owner is here: nobody else reads it
    s->memory[t][TOP] = top;
}

static void next_operation(struct thread *me)
{
    me->pc = CHOOSE;
    me->object = NONE;
    me->top = me->before = me->after = me->bits = me->locked = me->at = me->found = me->passes = me->none = 0;
    me->trims = 0;
}

static void got(struct state *s, int t, unsigned char object)
{
    struct thread *me = &s->threads[t];
    if (object != NONE)
        me->held[me->held[0] == NONE ? 0 : 1] = object;
    (void)s;
    next_operation(me);
}

// --- choosing an operation ------------------------------------------------------------------------------

enum { DO_GET, DO_PUT_0, DO_PUT_1, DO_TRIM, DO_EXIT, OPERATIONS };

static bool choose(struct state *s, int t, int operation)
{
    struct thread *me = &s->threads[t];
    if (operation == DO_EXIT) {
        if (me->left || me->held[0] != NONE || me->held[1] != NONE)
            return false;
        me->pc = EXIT_LOCK;
        return true;
    }
    if (operation == DO_PUT_0 || operation == DO_PUT_1) { // puts are not counted: what is got is put
        unsigned char *held = &me->held[operation - DO_PUT_0];
        if (*held == NONE)
            return false;
        me->object = *held;
        *held = NONE;
        if (me->object < setup.objects)
            s->ghost[me->object] = (unsigned char)(PUTTING + t);
        me->pc = PUT_ENTER;
        return true;
    }
    if (t > 0 && s->threads[t - 1].left == setup.operations)
        return false; // all are alike: it is enough that they begin in this order
    if (me->left == 0 || (operation == DO_GET && me->held[1] != NONE && me->held[0] != NONE))
        return false;
    me->left--;
    me->pc = operation == DO_GET ? GET_ENTER : TRIM_GROW_LOCK;
    return true;
}

// --- get ------------------------------------------------------------------------------------------------

static bool step_get_hot(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case GET_ENTER:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, BUSY, 1);
        me->pc = GET_TOP;
        return true;
    case GET_TOP:
        me->top = load(s, t, t, TOP);
        me->pc = GET_LOW;
        return true;
    case GET_LOW:
        me->pc = load(s, t, t, OPEN) && me->top > 0 ? GET_POP : GET_LEAVE_SLOW;
        return true;
    case GET_POP:
        if (!can_write(s, t))
            return false;
        me->object = load(s, t, t, ROUND + me->top - 1);
        is_got(s, me->object);
        write_to(s, t, t, TOP, me->top - 1u);
        me->pc = GET_LEAVE;
        return true;
    default: // GET_LEAVE, GET_LEAVE_SLOW
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, BUSY, 0);
        if (me->pc == GET_LEAVE)
            got(s, t, me->object);
        else
            me->pc = KNOWN_NONE;
        me->top = 0;
        return true;
    }
}

static bool begin_slow(struct state *s, int t)
{
    if (!lock_row(s, t, t))
        return false;
    if ((s->exposed & BIT(t)) && !s->fenced)
        s->moves++; // with the lock held; its one reader takes the lock of every row it depends on
    s->exposed &= (unsigned char)~BIT(t);
    return true;
}

static bool goes_without(struct state *s, int t)
{
    bool without = (s->without & BIT(t)) && !(s->holds & BIT(t));
    if (without)
        s->without &= (unsigned char)~BIT(t);
    return without;
}

static bool arm(struct state *s, int t)
{
    if (!can_write(s, t))
        return false;
    if ((s->holds & BIT(t)) && s->fenced)
        s->exposed |= BIT(t);
    write_to(s, t, t, OPEN, (s->exposed & BIT(t)) != 0);
    return true;
}

static bool step_get_slow(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    bool late = setup.mistake == MISTAKE_BIT_LATE;
    switch (me->pc) {
    case KNOWN_NONE:
        me->before = s->none_since;
        me->pc = KNOWN_MOVES;
        return true;
    case KNOWN_MOVES:
        me->pc = me->before == s->moves || (setup.mistake == MISTAKE_MODE_FIRST && me->before == 254)
                     ? PAST_MAX
                     : SLOW_LOCK;
        return true;
    case SLOW_LOCK:
        if (!begin_slow(s, t))
            return false;
        if (s->memory[t][TOP] > 0)
            me->pc = SLOW_POP;
        else if (goes_without(s, t))
            me->pc = SLOW_ARM;
        else
            me->pc = late ? SLOW_LOAD_STORE : SLOW_LOAD_BIT;
        return true;
    case SLOW_LOAD_BIT:
        if (!(s->holds & BIT(t)) && setup.mistake != MISTAKE_NO_MOVE)
            me->pc = SLOW_LOAD_MOVE;
        else
            me->pc = late ? SLOW_POP : SLOW_LOAD_STORE;
        s->holds |= BIT(t);
        s->holding |= BIT(t);
        return true;
    case SLOW_LOAD_MOVE:
        s->moves++;
        me->pc = late ? SLOW_POP : SLOW_LOAD_STORE;
        return true;
    case SLOW_LOAD_STORE: {
        unsigned char set = 0;
        for (int i = 0; i < setup.capacity && s->store; i++) {
            unsigned char bit = BIT(lowest(s->store));
            s->store &= (unsigned char)~bit;
            set |= bit;
        }
        load_row(s, t, set);
        me->pc = !set ? SLOW_LOAD_DEPOT : late ? SLOW_LOAD_BIT : SLOW_POP;
        return true;
    }
    case SLOW_LOAD_DEPOT:
        if (s->depot_count == 0) {
            me->pc = SLOW_LOAD_CLEAR;
            return true;
        }
        load_row(s, t, s->depot[--s->depot_count]);
        s->depot[s->depot_count] = 0;
        me->pc = late ? SLOW_LOAD_BIT : SLOW_POP;
        return true;
    case SLOW_LOAD_CLEAR:
        s->holds &= (unsigned char)~BIT(t);
        s->holding &= (unsigned char)~BIT(t);
        me->pc = SLOW_ARM;
        return true;
    case SLOW_POP:
        me->object = s->memory[t][ROUND + s->memory[t][TOP] - 1];
        s->memory[t][TOP]--;
        is_got(s, me->object);
        me->pc = SLOW_ARM;
        return true;
    case SLOW_ARM:
        if (!arm(s, t))
            return false;
        me->pc = SLOW_UNLOCK;
        return true;
    default: // SLOW_UNLOCK
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, LOCK, 0);
        if (me->object != NONE)
            got(s, t, me->object);
        else
            me->pc = SINGLE_TAKE;
        return true;
    }
}

// --- past the rows, and the search ----------------------------------------------------------------------

static bool step_single(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case SINGLE_TAKE:
        if (!s->store && s->depot_count) {
            s->store = s->depot[--s->depot_count];
            s->depot[s->depot_count] = 0;
        }
        if (!s->store) {
            me->pc = SINGLE_GROW_LOCK;
            return true;
        }
        me->object = lowest(s->store);
        s->store &= (unsigned char)~BIT(me->object);
        is_got(s, me->object);
        got(s, t, me->object);
        return true;
    case SINGLE_GROW_LOCK: // or it waits until who has it lets go, and looks again: the same, later
        if (s->grow_lock || !drained(s, t))
            return false;
        s->grow_lock = 1;
        me->pc = SINGLE_FREE;
        return true;
    case SINGLE_FREE:
        me->none = 0;
        me->pc = in_store_or_depot(s) ? SEARCH_GROW_UNLOCK : SEARCH_MOVES;
        return true;
    default:                                                                      // PAST_MAX
        claim(me->saw_none || me->excused || setup.mistake == MISTAKE_MODE_FIRST, // of that, see what follows
              "refused while an object was free all the time");
        got(s, t, OVERFLOW_OBJECT);
        return true;
    }
}

// After the rows are dealt with, or there are none.
static void after_rows(struct thread *me)
{
    me->bits = me->locked;
    me->pc = me->trims ? SEARCH_UNLOCK : SEARCH_AFTER;
}

static void next_to_take(const struct state *s, struct thread *me)
{
    while (me->bits) {
        me->at = lowest(me->bits);
        if (me->passes || !(s->exposed & BIT(me->at)) || setup.mistake == MISTAKE_IGNORE_REFUSAL) {
            me->pc = s->exposed & BIT(me->at) ? SEARCH_WAIT : SEARCH_GIVE;
            return;
        }
        me->bits &= (unsigned char)~BIT(me->at); // nobody may touch it
        if (setup.mistake == MISTAKE_EXPOSED_STAYS) {
            me->pc = SEARCH_GIVE;
            return;
        }
    }
    after_rows(me);
}

static bool step_search_rows(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case SEARCH_BITS:
        me->bits = s->holding;
        me->locked = 0;
        me->pc = SEARCH_LOCK;
        return true;
    case SEARCH_LOCK:
        if (!me->bits) {
            me->bits = me->locked;
            me->passes = 1;
            if ((s->exposed & me->locked) && setup.mistake != MISTAKE_NO_BARRIER)
                me->pc = SEARCH_BARRIER;
            else
                next_to_take(s, me);
            return true;
        }
        me->at = lowest(me->bits);
        if (!lock_row(s, t, me->at))
            return false;
        me->bits &= (unsigned char)~BIT(me->at);
        me->pc = SEARCH_CLOSE;
        return true;
    case SEARCH_CLOSE:
        if (!can_write(s, t))
            return false;
        if (s->holds & BIT(me->at)) {
            write_to(s, t, me->at, OPEN, 0);
            me->locked |= BIT(me->at);
        } else {
            write_to(s, t, me->at, LOCK, 0);
        }
        me->pc = SEARCH_LOCK;
        return true;
    case SEARCH_PASSES: { // one thread after the other passes a barrier
        if (!me->none) {
            next_to_take(s, me);
            return true;
        }
        int other = lowest(me->none);
        while (flush_one(s, other))
            ;
        me->none &= (unsigned char)~BIT(other);
        return true;
    }
    case SEARCH_WAIT:
        if (load(s, t, me->at, BUSY) && setup.mistake != MISTAKE_NO_WAIT)
            return false;
        me->pc = SEARCH_GIVE;
        return true;
    case SEARCH_GIVE: {
        if (!drained(s, t))
            return false;
        unsigned char set = objects_of(s, me->at);
        give(s, set);
        s->memory[me->at][TOP] = 0;
        s->exposed &= (unsigned char)~BIT(me->at);
        if (set && !me->trims)
            s->without |= BIT(me->at);
        me->found |= set;
        me->pc = set ? SEARCH_COUNT : SEARCH_CLEAR;
        return true;
    }
    case SEARCH_COUNT:
        s->moves++;
        me->pc = SEARCH_CLEAR;
        return true;
    default: // SEARCH_CLEAR
        s->holds &= (unsigned char)~BIT(me->at);
        s->holding &= (unsigned char)~BIT(me->at);
        me->bits &= (unsigned char)~BIT(me->at);
        next_to_take(s, me);
        return true;
    }
}

static bool step_search(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case SEARCH_MOVES:
        me->before = s->moves;
        if (setup.mistake == MISTAKE_MODE_FIRST)
            s->none_since = 254;
        me->pc = SEARCH_FREE;
        return true;
    case SEARCH_FREE:
        me->pc = in_store_or_depot(s) ? SEARCH_GROW_UNLOCK : SEARCH_BITS;
        return true;
    case SEARCH_AFTER:
        me->after = s->moves;
        me->pc = SEARCH_UNLOCK;
        return true;
    case SEARCH_UNLOCK:
        if (me->bits) {
            if (!can_write(s, t))
                return false;
            write_to(s, t, lowest(me->bits), LOCK, 0);
            me->bits &= (unsigned char)(me->bits - 1);
            return true;
        }
        me->none = !me->found && (me->after == me->before || setup.mistake == MISTAKE_LOOK_ONCE);
        me->pc = me->trims ? TRIM_DRAIN : me->none ? SEARCH_SAY : SEARCH_GROW_UNLOCK;
        return true;
    case SEARCH_SAY:
        if (!drained(s, t))
            return false;
        if (me->passes) // with rows out of reach it is not said
            s->none_since = me->before;
        me->pc = SEARCH_GROW_UNLOCK;
        return true;
    default: // SEARCH_GROW_UNLOCK
        if (!drained(s, t))
            return false;
        s->grow_lock = 0;
        if (setup.mistake == MISTAKE_MODE_FIRST && s->none_since == 254)
            s->none_since = 255;
        if (me->trims)
            next_operation(me);
        else {
            me->pc = me->none ? PAST_MAX : SINGLE_TAKE;
            me->none = me->found = me->before = me->after = me->locked = me->at = me->passes = 0;
        }
        return true;
    }
}

// The barrier is granted, or from now on refused: two steps to choose from.
static bool step_barrier(struct state *s, int t, bool refused)
{
    struct thread *me = &s->threads[t];
    if (me->pc != SEARCH_BARRIER || !drained(s, t) || (refused && !setup.may_refuse))
        return false;
    if (!refused && s->fenced != 1)
        return false; // once refused, always
    me->passes = !refused;
    if (refused)
        s->fenced = 0;
    me->none = refused ? 0 : (unsigned char)(BIT(setup.threads) - 1);
    me->pc = SEARCH_PASSES;
    return true;
}

// --- put ------------------------------------------------------------------------------------------------

static bool step_put_hot(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    bool fits;
    switch (me->pc) {
    case PUT_ENTER:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, BUSY, 1);
        me->pc = PUT_TOP;
        return true;
    case PUT_TOP:
        me->top = load(s, t, t, TOP);
        me->pc = PUT_HIGH;
        return true;
    case PUT_HIGH:
        fits = load(s, t, t, OPEN) && me->top < setup.capacity &&
               (me->object < setup.objects || setup.mistake == MISTAKE_MODE_FIRST);
        me->pc = fits ? PUT_ROUND : PUT_LEAVE_SLOW;
        return true;
    case PUT_ROUND:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, ROUND + me->top, me->object);
        me->pc = PUT_PUSH;
        return true;
    case PUT_PUSH:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, TOP, me->top + 1u);
        me->pc = PUT_LEAVE;
        return true;
    default: // PUT_LEAVE, PUT_LEAVE_SLOW
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, BUSY, 0);
        me->top = 0;
        me->pc = me->pc == PUT_LEAVE || me->object >= setup.objects ? PUT_DONE : PSLOW_LOCK;
        return true;
    }
}

static bool step_put_slow(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case PSLOW_LOCK:
        if (!begin_slow(s, t))
            return false;
        if (goes_without(s, t)) {
            me->found = 1; // past the row
            me->pc = PSLOW_ARM;
        } else {
            me->pc = s->memory[t][TOP] == setup.capacity ? PSLOW_DEPOT : PSLOW_BIT;
        }
        return true;
    case PSLOW_DEPOT:
        assert(s->depot_count < 3);
        s->depot[s->depot_count++] = objects_of(s, t);
        s->memory[t][TOP] = 0;
        me->pc = PSLOW_DEPOT_MOVE;
        return true;
    case PSLOW_DEPOT_MOVE:
        s->moves++;
        me->pc = PSLOW_BIT;
        return true;
    case PSLOW_BIT:
        me->pc = (s->holds & BIT(t)) || setup.mistake == MISTAKE_NO_MOVE ? PSLOW_ROUND : PSLOW_MOVE;
        s->holds |= BIT(t);
        s->holding |= BIT(t);
        return true;
    case PSLOW_MOVE:
        s->moves++;
        me->pc = PSLOW_ROUND;
        return true;
    case PSLOW_ROUND:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, ROUND + load(s, t, t, TOP), me->object);
        me->pc = PSLOW_PUSH;
        return true;
    case PSLOW_PUSH:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, TOP, load(s, t, t, TOP) + 1u);
        me->pc = PSLOW_ARM;
        return true;
    case PSLOW_ARM:
        if (!arm(s, t))
            return false;
        me->pc = PSLOW_UNLOCK;
        return true;
    case PSLOW_UNLOCK:
        if (!can_write(s, t))
            return false;
        write_to(s, t, t, LOCK, 0);
        me->pc = me->found ? PSINGLE_GIVE : PUT_DONE;
        return true;
    case PSINGLE_GIVE:
        if (!drained(s, t))
            return false;
        give(s, BIT(me->object));
        me->pc = PSINGLE_MOVE;
        return true;
    case PSINGLE_MOVE:
        s->moves++;
        me->pc = PUT_DONE;
        return true;
    default: // PUT_DONE
        is_put(s, t, me->object);
        next_operation(me);
        return true;
    }
}

// --- trim, and the end of a thread ----------------------------------------------------------------------

static bool step_trim(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case TRIM_GROW_LOCK:
        if (s->grow_lock || !drained(s, t))
            return false;
        s->grow_lock = 1;
        me->trims = 1;
        me->pc = SEARCH_BITS;
        return true;
    case TRIM_DRAIN:
        if (s->depot_count == 0) {
            me->pc = SEARCH_GROW_UNLOCK;
            return true;
        }
        me->found = s->depot[--s->depot_count];
        s->depot[s->depot_count] = 0;
        me->pc = TRIM_GIVE;
        return true;
    default: // TRIM_GIVE: meanwhile they are in nobody's sight
        give(s, me->found);
        me->pc = TRIM_DRAIN;
        return true;
    }
}

static bool step_exit(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case EXIT_LOCK:
        if (!begin_slow(s, t))
            return false;
        s->without &= (unsigned char)~BIT(t);
        me->pc = EXIT_GIVE;
        return true;
    case EXIT_GIVE: {
        unsigned char set = objects_of(s, t);
        give(s, set);
        s->memory[t][TOP] = 0;
        me->pc = set ? EXIT_COUNT : EXIT_CLEAR;
        return true;
    }
    case EXIT_COUNT:
        s->moves++;
        me->pc = EXIT_CLEAR;
        return true;
    case EXIT_CLEAR:
        s->holds &= (unsigned char)~BIT(t);
        s->holding &= (unsigned char)~BIT(t);
        s->memory[t][OPEN] = 0;
        me->pc = EXIT_UNLOCK;
        return true;
    default: // EXIT_UNLOCK
        s->memory[t][LOCK] = 0;
        me->pc = ENDED;
        return true;
    }
}

// --- the model ------------------------------------------------------------------------------------------

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
    violated = NULL;
    if (t >= setup.threads)
        return false;
    watch(s);
    bool enabled = step_thread(s, t, choice % OF_A_THREAD);
    if (enabled)
        watch(s);
    *violation = enabled ? violated : NULL;
    return enabled;
}

static bool is_final(const void *state, const char **violation)
{
    const struct state *s = state;
    unsigned char seen = s->store;
    violated = NULL;
    for (int t = 0; t < setup.threads; t++)
        if (s->threads[t].pc != ENDED)
            return false;
    for (int i = 0; i < s->depot_count; i++) {
        claim(!(seen & s->depot[i]), "an object is in two places");
        seen |= s->depot[i];
    }
    claim(seen == BIT(setup.objects) - 1, "an object is lost");
    *violation = violated;
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

// threads, objects, capacity, operations of each
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

// Some size shows it.
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
