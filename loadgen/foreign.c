// SPDX-License-Identifier: Apache-2.0
#include "loadgen/foreign.h"

#include "loadgen/list_grow.h"

#include <stdlib.h>

static bool append(struct foreign_list *to, struct foreign_one one)
{
    struct foreign_one *grown = list_grow(to->list, &to->capacity, to->count, sizeof *grown);
    if (!grown)
        return false;
    to->list = grown;
    to->list[to->count++] = one;
    return true;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = ((const struct foreign_one *)a)->cookie, right = ((const struct foreign_one *)b)->cookie;
    return left < right ? -1 : left > right;
}

static struct foreign_one *find(const struct foreign_list *in, uint64_t cookie)
{
    struct foreign_one one = {.cookie = cookie};
    return in->count > 0 ? bsearch(&one, in->list, in->count, sizeof one, compare) : NULL;
}

void foreign_begin(struct foreign *foreign)
{
    foreign->now.count = 0;
}

bool foreign_add(struct foreign *foreign, uint64_t cookie, int64_t bytes)
{
    return append(&foreign->now, (struct foreign_one){.cookie = cookie, .bytes = bytes});
}

// A connection of the list before that this one does not have.
static void miss(struct foreign *foreign, const struct foreign_one *one, bool listened,
                 struct foreign_change *change)
{
    struct foreign_one awaited = *one;
    change->left += !one->missing;
    if (one->heard)
        return;
    awaited.missing = true;
    if (one->missing || !listened || !append(&foreign->now, awaited))
        change->unheard++;
}

void foreign_end(struct foreign *foreign, bool listened, struct foreign_change *change)
{
    struct foreign_list *known = &foreign->known, *now = &foreign->now;
    size_t listed = now->count;
    *change = (struct foreign_change){0};
    if (listed > 0)
        qsort(now->list, listed, sizeof *now->list, compare);
    for (size_t i = 0; i < listed; i++) {
        const struct foreign_one *old = find(known, now->list[i].cookie);
        change->bytes += now->list[i].bytes - (old ? old->bytes : 0);
        change->came += !old;
    }
    for (size_t i = 0; i < known->count; i++) {
        const struct foreign_list searched = {.list = now->list, .count = listed}; // it may move meanwhile
        if (!find(&searched, known->list[i].cookie))
            miss(foreign, &known->list[i], listened, change);
    }
    if (now->count > listed)
        qsort(now->list, now->count, sizeof *now->list, compare);
    struct foreign_list spare = *known;
    *known = *now;
    *now = spare;
}

int64_t foreign_look(struct foreign *foreign, uint64_t cookie, int64_t bytes)
{
    struct foreign_one *one = find(&foreign->known, cookie);
    if (!one)
        return 0;
    int64_t more = bytes - one->bytes;
    one->bytes = bytes;
    return more;
}

int64_t foreign_hear(struct foreign *foreign, uint64_t cookie, int64_t bytes, bool *known)
{
    struct foreign_one *one = find(&foreign->known, cookie);
    *known = one != NULL;
    if (!one)
        return 0;
    one->heard = true;
    // Of an end that has reset its connection itself the kernel knows no bytes.
    return bytes > 0 ? bytes - one->bytes : 0;
}

void foreign_close(struct foreign *foreign)
{
    free(foreign->known.list);
    free(foreign->now.list);
    *foreign = (struct foreign){0};
}
