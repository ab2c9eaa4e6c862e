// SPDX-License-Identifier: Apache-2.0
// Takes rows back with a barrier that may be refused: for a search at the bound, which ends in a refusal,
// and for trim. Also the end of a thread.
#include "tests/model/slab_model.h"

// After the rows were taken back, or when there are none.
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
        me->bits &= (unsigned char)~BIT(me->at); // no other thread may touch it
        if (setup.mistake == MISTAKE_EXPOSED_STAYS) {
            me->pc = SEARCH_GIVE;
            return;
        }
    }
    after_rows(me);
}

bool step_search_rows(struct state *s, int t)
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
    case SEARCH_PASSES: { // the threads pass a barrier one after the other
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

bool step_search(struct state *s, int t)
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
        if (me->passes) // not noted with rows out of reach
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

// The barrier is granted, or refused from now on: two steps to choose from.
bool step_barrier(struct state *s, int t, bool refused)
{
    struct thread *me = &s->threads[t];
    if (me->pc != SEARCH_BARRIER || !drained(s, t) || (refused && !setup.may_refuse))
        return false;
    if (!refused && s->fenced != 1)
        return false; // once refused, always refused
    me->passes = !refused;
    if (refused)
        s->fenced = 0;
    me->none = refused ? 0 : (unsigned char)(BIT(setup.threads) - 1);
    me->pc = SEARCH_PASSES;
    return true;
}

// --- trim, and the end of a thread -----------------------------------------------------------------------

bool step_trim(struct state *s, int t)
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
    default: // TRIM_GIVE: meanwhile no thread sees the objects
        give(s, me->found);
        me->pc = TRIM_DRAIN;
        return true;
    }
}

bool step_exit(struct state *s, int t)
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
