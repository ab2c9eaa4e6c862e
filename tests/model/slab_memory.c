// SPDX-License-Identifier: Apache-2.0
// Claims; stores that other threads see late but in order, as on x86 (TSO); and the small parts of the model.
#include "tests/model/slab_model.h"

static const char *violated;

void claim(bool holds, const char *otherwise)
{
    if (!holds && !violated)
        violated = otherwise;
}

const char *claims_violated(void)
{
    const char *found = violated;
    violated = NULL;
    return found;
}

// --- memory ----------------------------------------------------------------------------------------------

unsigned char load(const struct state *s, int t, int row, int variable)
{
    const struct thread *thread = &s->threads[t];
    for (int i = thread->buffered - 1; i >= 0; i--)
        if (thread->buffer[i] >> 3 == row * VARIABLES + variable)
            return thread->buffer[i] & 7;
    return s->memory[row][variable];
}

bool can_write(const struct state *s, int t)
{
    return s->threads[t].buffered < BUFFERED;
}

void write_to(struct state *s, int t, int row, int variable, unsigned value)
{
    struct thread *thread = &s->threads[t];
    assert(thread->buffered < BUFFERED && row * VARIABLES + variable < 32 && value < 8);
    thread->buffer[thread->buffered++] = (unsigned char)((unsigned)(row * VARIABLES + variable) << 3 | value);
}

bool flush_one(struct state *s, int t)
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

// Operations that lock wait until the thread's own stores are visible.
bool drained(const struct state *s, int t)
{
    return s->threads[t].buffered == 0;
}

bool lock_row(struct state *s, int t, int row)
{
    if (!drained(s, t) || s->memory[row][LOCK])
        return false;
    s->memory[row][LOCK] = 1;
    return true;
}

// --- the ghost -------------------------------------------------------------------------------------------

static bool nothing_free(const struct state *s)
{
    for (int i = 0; i < setup.objects; i++)
        if (s->ghost[i] == FREE)
            return false;
    return true;
}

// Called before and after each step.
void watch(struct state *s)
{
    for (int t = 0; t < setup.threads; t++) {
        s->threads[t].saw_none |= nothing_free(s);
        s->threads[t].excused |= s->exposed && !s->fenced;
        if (s->threads[t].pc < GET_ENTER || s->threads[t].pc > PAST_MAX)
            s->threads[t].saw_none = s->threads[t].excused = 0; // it is not in a get
    }
}

void is_got(struct state *s, int object)
{
    claim(object < setup.objects, "something that is no object of the pool was in a magazine");
    if (object >= setup.objects)
        return;
    claim(s->ghost[object] != USED, "an object is out twice");
    s->ghost[object] = USED;
}

void is_put(struct state *s, int t, int object)
{
    if (object < setup.objects && s->ghost[object] == PUTTING + t) // unless another thread got it already
        s->ghost[object] = FREE;
}

// --- small parts -----------------------------------------------------------------------------------------

unsigned char lowest(unsigned char set)
{
    return (unsigned char)__builtin_ctz(set);
}

unsigned char objects_of(const struct state *s, int row)
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

void give(struct state *s, unsigned char set)
{
    claim(!(s->store & set), "an object is given to the store twice");
    s->store |= set;
}

bool in_store_or_depot(const struct state *s)
{
    return s->store || s->depot_count;
}

void load_row(struct state *s, int t, unsigned char set)
{
    unsigned char top = 0;
    for (; set; set &= (unsigned char)(set - 1))
        s->memory[t][ROUND + top++] =
            lowest(set); // the row is locked and its owner is here: no other thread reads it
    s->memory[t][TOP] = top;
}

void next_operation(struct thread *me)
{
    me->pc = CHOOSE;
    me->object = NONE;
    me->top = me->before = me->after = me->bits = me->locked = me->at = me->found = me->passes = me->none = 0;
    me->trims = 0;
}

void got(struct state *s, int t, unsigned char object)
{
    struct thread *me = &s->threads[t];
    if (object != NONE)
        me->held[me->held[0] == NONE ? 0 : 1] = object;
    (void)s;
    next_operation(me);
}
