// SPDX-License-Identifier: Apache-2.0
#include "loadgen/outgoing.h"

#include "base/procmem.h"

enum { SEEN_MAX = 4 * OUTGOING_LISTED };

bool outgoing_has(const struct outgoing *outgoing, uint64_t inode)
{
    return (outgoing->known && tcp_sockets_has(outgoing->known, inode)) ||
           tcp_sockets_has(&outgoing->later, inode);
}

void outgoing_begin(struct outgoing *outgoing)
{
    foreign_begin(&outgoing->carried);
    outgoing->candidate_count = 0;
    outgoing->seen.count = 0;
}

static bool was_asked(const struct outgoing *outgoing, uint64_t cookie)
{
    for (int i = 0; i < outgoing->asked_count; i++)
        if (outgoing->asked[i] == cookie)
            return true;
    return false;
}

void outgoing_see(struct outgoing *outgoing, const struct sockdiag_row *row)
{
    if (outgoing->count == 0 || !row->established || row->bytes < 0)
        return;
    if (outgoing_has(outgoing, row->inode)) {
        (void)!foreign_add(&outgoing->carried, row->cookie, row->bytes); // without memory fewer are seen
        return;
    }
    if (row->inode != 0 && outgoing->seen.count < SEEN_MAX)
        (void)!numbers_add(&outgoing->seen, row->inode);
    if (row->bytes > OUTGOING_BYTES && row->inode != 0 && outgoing->candidate_count < OUTGOING_ASKED &&
        outgoing->asked_count < OUTGOING_ASKED && !was_asked(outgoing, row->cookie))
        outgoing->candidates[outgoing->candidate_count++] =
            (struct outgoing_candidate){row->inode, row->cookie, row->bytes};
}

static bool list_all(const struct outgoing *outgoing, struct tcp_sockets *all)
{
    for (int i = 0; i < outgoing->count; i++) {
        int64_t descriptors = procmem_descriptors((pid_t)outgoing->pids[i]);
        if (descriptors < 0 || descriptors > OUTGOING_LISTED ||
            tcp_sockets_of((pid_t)outgoing->pids[i], all) < 0)
            return false;
    }
    return true;
}

static int64_t count_of(const struct outgoing *outgoing, const struct tcp_sockets *all)
{
    int64_t count = 0;
    for (size_t i = 0; i < outgoing->seen.count; i++)
        count += tcp_sockets_has(all, outgoing->seen.list[i]);
    return count;
}

// Which candidates are the target's? Those of the first list are none: the target's own were known before.
static void ask(struct outgoing *outgoing, int64_t clients)
{
    struct tcp_sockets all = {0};
    bool listed = outgoing->compared && list_all(outgoing, &all) && count_of(outgoing, &all) < clients;
    for (int i = 0; i < outgoing->candidate_count; i++) {
        const struct outgoing_candidate *one = &outgoing->candidates[i];
        if (listed && tcp_sockets_has(&all, one->inode)) {
            (void)!tcp_sockets_add(&outgoing->later, one->inode);
            (void)!foreign_add(&outgoing->carried, one->cookie, one->bytes);
        } else if (outgoing->asked_count < OUTGOING_ASKED) {
            outgoing->asked[outgoing->asked_count++] = one->cookie;
        }
    }
    tcp_sockets_free(&all);
}

int64_t outgoing_end(struct outgoing *outgoing, int64_t clients)
{
    struct foreign_change change;
    if (outgoing->candidate_count > 0)
        ask(outgoing, clients);
    foreign_end(&outgoing->carried, false, &change);
    int64_t bytes = outgoing->compared ? change.bytes : 0;
    outgoing->compared = true;
    numbers_free(&outgoing->seen); // it would be in the generator's memory, which is a figure
    return bytes;
}

void outgoing_close(struct outgoing *outgoing)
{
    foreign_close(&outgoing->carried);
    numbers_free(&outgoing->seen);
    tcp_sockets_free(&outgoing->later);
}
