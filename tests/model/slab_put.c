// SPDX-License-Identifier: Apache-2.0
// A put: into the thread's own row, or past the rows.
#include "tests/model/slab_model.h"

bool step_put_hot(struct state *s, int t)
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

bool step_put_slow(struct state *s, int t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case PSLOW_LOCK:
        if (!begin_slow(s, t))
            return false;
        if (goes_without(s, t)) {
            me->found = 1; // goes past the row
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
