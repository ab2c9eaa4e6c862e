// SPDX-License-Identifier: Apache-2.0
// The choice of a thread's next operation, and a get: from its row, past the rows, beyond the bound.
#include "tests/model/slab_model.h"

bool choose(struct state *s, int t, int operation)
{
    struct thread *me = &s->threads[t];
    if (operation == DO_EXIT) {
        if (me->left || me->held[0] != NONE || me->held[1] != NONE)
            return false;
        me->pc = EXIT_LOCK;
        return true;
    }
    if (operation == DO_PUT_0 || operation == DO_PUT_1) { // puts are not counted: every object got is put
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
        return false; // all threads are alike: it is enough that they begin in this order
    if (me->left == 0 || (operation == DO_GET && me->held[1] != NONE && me->held[0] != NONE))
        return false;
    me->left--;
    me->pc = operation == DO_GET ? GET_ENTER : TRIM_GROW_LOCK;
    return true;
}

// --- get -------------------------------------------------------------------------------------------------

bool step_get_hot(struct state *s, int t)
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

bool begin_slow(struct state *s, int t)
{
    if (!lock_row(s, t, t))
        return false;
    if ((s->exposed & BIT(t)) && !s->fenced)
        s->moves++; // under the lock; its only reader takes the lock of every row it depends on
    s->exposed &= (unsigned char)~BIT(t);
    return true;
}

bool goes_without(struct state *s, int t)
{
    bool without = (s->without & BIT(t)) && !(s->holds & BIT(t));
    if (without)
        s->without &= (unsigned char)~BIT(t);
    return without;
}

bool arm(struct state *s, int t)
{
    if (!can_write(s, t))
        return false;
    if ((s->holds & BIT(t)) && s->fenced)
        s->exposed |= BIT(t);
    write_to(s, t, t, OPEN, (s->exposed & BIT(t)) != 0);
    return true;
}

bool step_get_slow(struct state *s, int t)
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

// --- past the rows ---------------------------------------------------------------------------------------

bool step_single(struct state *s, int t)
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
    case SINGLE_GROW_LOCK: // or it waits for the holder and checks again: the same, later
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
        claim(me->saw_none || me->excused || setup.mistake == MISTAKE_MODE_FIRST, // shows in later claims
              "refused while an object was free all the time");
        got(s, t, OVERFLOW_OBJECT);
        return true;
    }
}
